"""Decision replay: recorded decisions are decided again at this database, and compared."""

from wayfare_engine.recovery.replay.deciding import Replayed, Replayer
from wayfare_engine.recovery.replay.recorded import Recorded, Source, sampled
from wayfare_engine.recovery.replay.sampling import Sampler

__all__ = ["Recorded", "Replayed", "Replayer", "Sampler", "Source", "sampled"]

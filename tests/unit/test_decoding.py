"""Types that are decoded in several threads are looked at by msgspec beforehand."""

from __future__ import annotations

import subprocess
import sys

import msgspec

from wayfare_engine import runs
from wayfare_engine.decoding import is_known
from wayfare_engine.journal import segment, snapshot
from wayfare_engine.lease import beats, epochs
from wayfare_engine.runs import records

#: Many types, each first decoded by four threads at once. Without `known` it ends with SIGSEGV
#: (msgspec 0.22.0): a version that no longer does makes `decoding` superfluous.
_RACES = """
import sys, threading
import msgspec
from wayfare_engine.decoding import known

def one(number):
    inner = msgspec.defstruct("Inner", [("x", int), ("y", str)])
    kind = msgspec.defstruct("Kind", [("a", int), ("b", inner), ("c", dict[str, inner])])
    known(kind)
    data = b'{"a":1,"b":{"x":1,"y":"q"},"c":{"k":{"x":2,"y":"w"}}}'
    start = threading.Barrier(4)

    def decode():
        start.wait()
        msgspec.json.decode(data, type=kind)

    threads = [threading.Thread(target=decode) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

sys.setswitchinterval(1e-6)
for number in range(500):
    one(number)
"""


def test_known_types_can_be_decoded_first_by_several_threads_at_once() -> None:
    done = subprocess.run([sys.executable, "-c", _RACES], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_threads_decode_is_known() -> None:
    """Segments and snapshots are read by several threads, records by the operator's."""
    for kind in (segment.Closed, snapshot.Manifest, epochs.Lease, epochs.Acting, beats.Beat):
        assert is_known(kind)
    kept = {
        kind
        for kind in vars(records).values()
        if isinstance(kind, type) and issubclass(kind, records.Record)
    }
    # A part of another record is looked at together with that one.
    assert {k for k in kept if not is_known(k)} == {records.Record, records.LostPart}
    assert issubclass(runs.Run, msgspec.Struct)

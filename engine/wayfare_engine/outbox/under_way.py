"""What one worker process knows of the sends that it dispatched: in memory, thread-safe."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence

from wayfare_engine.outbox.channel import Send
from wayfare_engine.outbox.outcome import Doubt, Ended


class UnderWay:
    """Sends from their dispatch until their outcome is written or they are in doubt."""

    def __init__(self, boottime: Callable[[], float]) -> None:
        self._boottime = boottime
        self._lock = threading.Lock()
        self._sends: dict[str, Send] = {}
        self._of: Counter[str] = Counter()
        self._ended: list[Ended] = []
        self._doubts: list[Doubt] = []
        self._doubtful_until: dict[str, float] = {}
        #: Set when something ended.
        self.news = threading.Event()

    def __len__(self) -> int:
        return len(self._sends)

    def of(self, channel: str) -> int:
        """How many of them are of this channel."""
        return self._of[channel]

    def enter(self, sends: Sequence[Send]) -> None:
        """They were dispatched, or are to be asked about. None of them is under way."""
        with self._lock:
            for send in sends:
                self._sends[send.send_key] = send
                self._of[send.channel] += 1

    def end(self, *ended: Ended) -> None:
        """They ended; they stay under way until they `leave`."""
        with self._lock:
            self._ended.extend(ended)
        self.news.set()

    def doubt(self, doubt: Doubt, seconds: float) -> None:
        """Nobody knows; in `seconds` it has taken effect or never will."""
        with self._lock:
            self._doubts.append(doubt)
            self._doubtful_until[doubt.send.send_key] = self._boottime() + seconds
        self.news.set()

    def take_news(self, limit: int) -> tuple[list[Ended], list[Doubt]]:
        """What ended and what came to be in doubt since the last call."""
        with self._lock:
            self.news.clear()
            ended, self._ended = self._ended[:limit], self._ended[limit:]
            doubts, self._doubts = self._doubts, []
        return ended, doubts

    def leave(self, send_keys: list[str]) -> None:
        """Their outcome is written, or their doubt is on record."""
        with self._lock:
            for key in send_keys:
                send = self._sends.pop(key, None)
                if send is not None:
                    self._of[send.channel] -= 1

    def settled(self, send_key: str) -> bool:
        """Whether a hand-over of ours that went wrong can by now no longer take effect."""
        with self._lock:
            until = self._doubtful_until.get(send_key)
            if until is None:
                return True
            if self._boottime() < until:
                return False
            del self._doubtful_until[send_key]
            return True

    def customers(self) -> set[str]:
        """Those who have a send under way."""
        with self._lock:
            return {send.customer for send in self._sends.values()}

    def partitions(self) -> set[int]:
        """The partitions of what is under way."""
        with self._lock:
            return {send.partition for send in self._sends.values()}

    def keys(self) -> list[str]:
        """The keys of what is under way."""
        with self._lock:
            return list(self._sends)

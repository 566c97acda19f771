"""Notices when nothing moves, and says so: a sweep must not hang in silence."""

import os
import signal
import sys
import threading
import time
from types import FrameType
from typing import Optional

SILENCE = 15.0  # seconds without progress until a line says so; then again after each doubling


class Stuck(RuntimeError):
    """What was to be over long ago is not."""


class Pulse(threading.Thread):
    """Told of progress by `beat`. After `limit` silent seconds, where there is one, Stuck is raised
    in the main thread, wherever it waits: Mininet's own calls know no time limit."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._lock = threading.RLock()  # a signal may come while the main thread holds it
        self._what, self._since, self._limit = "", time.monotonic(), 0.0
        self._said, self._alarm = SILENCE, -1.0
        self._end = threading.Event()
        signal.signal(signal.SIGALRM, self._raise)

    def beat(self, what: str, limit: float = 0.0) -> None:
        """Something has moved: `what` is being waited for from now on, '' for nothing."""
        with self._lock:
            self._what, self._limit = what, limit
            self._since, self._said = time.monotonic(), SILENCE

    def run(self) -> None:
        while not self._end.wait(1.0):
            with self._lock:
                silent = time.monotonic() - self._since
                what, tell = self._what, bool(self._what) and silent >= self._said
                if tell:
                    self._said *= 2
                stuck = bool(self._what) and 0 < self._limit <= silent
                if stuck:
                    self._limit, self._alarm = 0.0, self._since
            if tell:
                say(f"no progress for {silent:.0f} s: {what}")
            if stuck:
                os.kill(os.getpid(), signal.SIGALRM)

    def _raise(self, _: int, __: Optional[FrameType]) -> None:
        with self._lock:
            what, since = self._what, self._since
            late = since != self._alarm  # something has moved after all
        if not late:
            raise Stuck(f"no progress for {time.monotonic() - since:.0f} s: {what}")

    def stop(self) -> None:
        self._end.set()


def show(text: str) -> None:
    """To standard output, at once; OSError names it."""
    try:
        print(text, flush=True)
    except OSError as e:
        raise OSError(e.errno, e.strerror, "standard output") from None


def say(text: str) -> None:
    """To a terminal, which may be gone."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        pass

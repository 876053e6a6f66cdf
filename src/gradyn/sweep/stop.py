"""Being told to stop: Ctrl-C, SIGTERM and a terminal that hangs up end a sweep in order; told twice, it ends at once.

Either way what is committed stays. The first signal is heard at the next safe place, so that it can't fall between the locks of a
process pool; with `at_once` it raises where it finds the program, for work that is done in the driver itself.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(KeyboardInterrupt):
    """A signal said to stop; `exit_code` is 128 plus its number, as shells have it (130 after Ctrl-C)."""

    def __init__(self, number: int) -> None:
        self.exit_code = 128 + number
        super().__init__(signal.Signals(number).name)


class Stop:
    """Whether a signal has come."""

    def __init__(self) -> None:
        self._number: int | None = None
        self._is_raised = False

    def check(self) -> None:
        """Raise if a signal has come.

        Raises:
            Stopped: it has.
        """
        if self._number is not None:
            raise Stopped(self._number)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Within it a signal raises where it finds the program."""
        self._is_raised = True
        try:
            self.check()
            yield
        finally:
            self._is_raised = False

    def heard(self, number: int, frame: FrameType | None) -> None:
        """The signals' handler."""
        if self._number is not None:
            # Told twice: no more tidying. Committed shards are whole, and the next start removes what was begun.
            for process in multiprocessing.active_children():
                process.kill()
            sys.stdout.flush()
            os._exit(128 + number)
        self._number = number
        if self._is_raised:
            raise Stopped(number)


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Hear signals while the `with` block runs; those that are ignored (`nohup`) stay so. Only the main thread can hear any."""
    stop = Stop()
    is_main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in _SIGNALS} if is_main else {}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, stop.heard)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

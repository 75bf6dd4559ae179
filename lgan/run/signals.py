"""Signals that ask a run to leave: SIGTERM, SIGINT, SIGUSR1 and SIGUSR2 (Slurm sends one early).

While steps are trained the current one is finished and a checkpoint written
(`lgan.callbacks.stop.StopOnSignal`); outside of training the run leaves at once. All files are
written atomically, so that leaving loses nothing that was finished.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)
ECHO = 1.0  # seconds: a terminal and a launcher both send the same wish


class StopBySignal(SystemExit):
    """A signal ended the run, and its sweep: Hydra and Lightning let it pass. Code 128 + number."""

    def __init__(self, signum: int, where: str = "outside of training") -> None:
        super().__init__(128 + signum)
        self.signum = signum
        self.sentence = (
            f"stopped by {signal.Signals(signum).name} {where}; the same command goes on from there"
        )


class Watch:
    """Hears the signals for one process."""

    def __init__(self) -> None:
        self.received = 0  # the first signal that came while steps were trained
        self._training, self._since, self._pid = False, 0.0, os.getpid()

    def install(self) -> None:
        """Become the handler of all signals: only the main thread can, others change nothing."""
        # Called again when a fit begins: Lightning then sets a handler for SIGTERM that waits for
        # the other ranks inside the handler, a deadlock.
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                signal.signal(number, self._handle)

    def train(self, on: bool) -> None:
        """Say that steps begin, or that they are over: then leave, if a signal has come."""
        self._training = on
        if not on and self.received:
            raise StopBySignal(self.received)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if os.getpid() != self._pid:
            # A forked worker ends on SIGTERM only: on the others its parent still needs it.
            if signum == signal.SIGTERM:
                signal.signal(signum, signal.SIG_DFL)
                os.kill(os.getpid(), signum)
        elif not self._training:
            raise StopBySignal(signum)
        elif not self.received:
            self.received, self._since = signum, time.monotonic()
        elif time.monotonic() - self._since > ECHO:
            raise StopBySignal(signum, "twice, without a checkpoint")


_watches: list[Watch] = []


def current() -> Watch | None:
    """Return the watch of the run that is being trained, if there is one."""
    return _watches[-1] if _watches else None


@contextmanager
def watch() -> Iterator[Watch]:
    """Hear signals while the block runs; the former handlers are put back after it."""
    former = {number: signal.getsignal(number) for number in SIGNALS}
    _watches.append(Watch())
    _watches[-1].install()
    try:
        yield _watches[-1]
    finally:
        _watches.pop()
        if threading.current_thread() is threading.main_thread():
            for number, handler in former.items():
                signal.signal(number, handler)


@contextmanager
def passed_on() -> Iterator[None]:
    """Let who heard SIGUSR2 before the block hear it after a run in the block has left for it."""
    # That is submitit, which then puts a Slurm job back into the queue, and ends the process.
    former = signal.getsignal(signal.SIGUSR2)
    try:
        yield
    except StopBySignal as stop:
        if stop.signum == signal.SIGUSR2 and callable(former):
            signal.signal(signal.SIGUSR2, former)
            signal.raise_signal(signal.SIGUSR2)
        raise

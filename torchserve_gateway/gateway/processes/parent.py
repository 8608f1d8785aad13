"""The parent of a gateway of several processes: starts them, replaces those that end, and stops them all."""

import logging
import math
import os
import signal
import socket
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import NoReturn

from torchserve_gateway.gateway.processes.draining import CLOSE_NOW
from torchserve_gateway.gateway.processes.hanging import Watch
from torchserve_gateway.gateway.processes.siblings import Shared, Sibling

logger = logging.getLogger("gateway")

STOPS = (signal.SIGTERM, signal.SIGINT)
SIGNALS = (signal.SIGCHLD, *STOPS)
# Seconds between two looks while a process starts, is about to, or stops; and otherwise.
LOOK_AGAIN_S, LOOK_EVERY_S = 0.05, 5.0
# A process that ends sooner counts as a failure, after which its replacement waits.
SHORT_LIFE_S = 10.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
# Seconds beyond the time in which a process stops by itself.
STOP_MARGIN_S = 10.0
FAILED = 1


def hold_signals() -> None:
    """Keeps signals for `Parent.supervise`, so that none is missed between two looks."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


@dataclass(frozen=True)
class Child:
    """A running process."""

    pid: int
    """Its process id."""
    sibling: Sibling
    """Its own view of the shared parts."""
    since: float
    """Start, by the monotonic clock."""


class Parent:
    """Supervises the processes of a gateway.

    While no process accepts connections, only one is started: a setting that keeps it from starting is
    reported once, and ends the gateway.

    Args:
        shared: The parts that all processes share.
        sockets: Listening sockets, which processes accept from.
        run: Runs in each process and returns its exit code.
        forget: Called for each process that has ended.
        stop_s: Seconds in which a process stops by itself.
    """

    def __init__(
        self,
        shared: Shared,
        sockets: Sequence[socket.socket],
        run: Callable[[Sibling], int],
        forget: Callable[[Sibling], None],
        stop_s: float,
    ) -> None:
        self._shared, self._sockets, self._run, self._forget = shared, sockets, run, forget
        self._stop_s = stop_s
        # The kernel closes the writing end when this process ends, however it ends.
        self._lifeline, self._kept_open = os.pipe2(os.O_CLOEXEC)
        self._children: dict[int, Child] = {}
        self._short_lives = [0] * shared.processes
        self._due = [0.0] * shared.processes
        self._watch = Watch(shared.silent_s)
        self._kill_at: float | None = None
        self._exit_code = 0

    def supervise(self) -> int:
        """Returns the exit code when all processes have ended; `hold_signals` comes first.

        0: a signal stopped them; else the code of the process that could not start.
        """
        self._start_due()
        while self._children:
            received = signal.sigtimedwait(SIGNALS, self._until_next_look())
            if received and received.si_signo in STOPS:
                self._stop()
            for child in tuple(self._children.values()):
                pid, status = os.waitpid(child.pid, os.WNOHANG)
                if pid:
                    self._ended(child, os.waitstatus_to_exitcode(status))
            if self._kill_at is None:
                self._kill_hanging()
                self._start_due()
            elif monotonic() > self._kill_at:
                self._kill_at = math.inf
                for number in self._children:
                    self._kill(number, "does not stop")
        return self._exit_code

    @property
    def _any_serves(self) -> bool:
        return any(self._shared.has_started(number) for number in self._children)

    def _until_next_look(self) -> float:
        settled = len(self._children) == self._shared.processes and all(
            self._shared.has_started(number) for number in self._children
        )
        return LOOK_EVERY_S if settled and self._kill_at is None else LOOK_AGAIN_S

    def _start_due(self) -> None:
        for number in range(self._shared.processes):
            if (self._children and not self._any_serves) or self._kill_at is not None:
                return
            if number not in self._children and (self._due[number] <= monotonic() or not self._children):
                self._fork(number)

    def _fork(self, number: int) -> None:
        sibling = Sibling(self._shared, number, self._lifeline)
        pid = os.fork()
        if not pid:
            self._be_child(sibling)
        self._children[number] = Child(pid, sibling, monotonic())

    def _be_child(self, sibling: Sibling) -> NoReturn:
        code = FAILED
        try:
            os.close(self._kept_open)
            # Ctrl-C reaches all processes of a terminal; this one is stopped by its parent.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            self._shared.forked()
            code = self._run(sibling)
        except SystemExit as exc:
            code = exc.code if isinstance(exc.code, int) else FAILED
        except BaseException:  # noqa: BLE001 - the process ends here
            traceback.print_exc()
        finally:
            # Nothing of the parent's is cleaned up twice.
            os._exit(code)

    def _ended(self, child: Child, code: int) -> None:
        number, served = child.sibling.number, self._shared.has_started(child.sibling.number)
        del self._children[number]
        self._shared.ended(number)
        self._forget(child.sibling)
        if self._kill_at is not None:
            return
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        if not served and not self._any_serves:
            logger.error("the gateway does not start: process %d ended %s", child.pid, how)
            self._exit_code = code if code > 0 else FAILED
            self._stop()
            return
        pause_s = self._pause_s(child)
        self._due[number] = monotonic() + pause_s
        when = f"in {pause_s:g} s" if pause_s else "now"
        logger.warning("process %d ended %s and is replaced %s", child.pid, how, when)

    def _pause_s(self, child: Child) -> float:
        number = child.sibling.number
        if monotonic() - child.since > SHORT_LIFE_S:
            self._short_lives[number] = 0
            return 0.0
        self._short_lives[number] += 1
        return min(FIRST_PAUSE_S * 2.0 ** (self._short_lives[number] - 1), LONGEST_PAUSE_S)

    def _stop(self) -> None:
        """Asks all processes to end; at the second call, to close their connections at once."""
        again = self._kill_at is not None
        # Connections would wait in them until this process ends.
        for each in self._sockets:
            each.close()
        if not again:
            self._kill_at = monotonic() + self._stop_s + STOP_MARGIN_S
        for child in self._children.values():
            os.kill(child.pid, CLOSE_NOW if again else signal.SIGTERM)

    def _kill_hanging(self) -> None:
        served = [number for number in self._children if self._shared.has_started(number)]
        for number in self._watch.hanging(served):
            self._kill(number, "hangs")
            # Until it is reaped.
            self._shared.runs(number)

    def _kill(self, number: int, why: str) -> None:
        child = self._children[number]
        logger.error("process %d %s and is killed", child.pid, why)
        os.kill(child.pid, signal.SIGKILL)

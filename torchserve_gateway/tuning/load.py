"""Measures the combination that serves at the moment."""

import asyncio
import itertools
from collections.abc import Coroutine
from time import monotonic, perf_counter, process_time
from types import TracebackType
from typing import Any, Self, TypeVar

import uvloop

from torchserve_gateway.load_test import profiles
from torchserve_gateway.load_test.open_loop import send_at
from torchserve_gateway.load_test.sender import Sender
from torchserve_gateway.load_test.statistics import Tally
from torchserve_gateway.settings.tuning import TuneSettings
from torchserve_gateway.tuning.requests import Body, CheckedRequest
from torchserve_gateway.tuning.windows import LATE_SHARE, Plan, Window

T = TypeVar("T")

CONFIRMATION = 3
# After a deploy the first batches of every size are slower.
WARM_UP_ROUNDS = 2
WARM_UP_TIMEOUT_S = 30.0
PAUSE_S = 0.2


class NotServingError(Exception):
    """The combination does not answer right without load."""


class Load:
    """Requests to one gateway, on an event loop of their own."""

    def __init__(self, settings: TuneSettings, url: str, bodies: list[Body]) -> None:
        self._settings = settings
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._senders: dict[str, Sender] = {}
        self._requests: list[CheckedRequest] = []
        self._bad = 0
        self._most_bad: float = 0
        self._stop = asyncio.Event()
        self._run(self._connect(url, bodies))

    def __enter__(self) -> Self:
        """The load itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes all connections."""
        self._run(self._close())
        self._runner.close()

    def warm_up(self) -> None:
        """Returns once every request was answered right in a row.

        Raises:
            NotServingError: one is not, also after some time.
        """
        self._run(self._warm_up())

    def window(self, plan: Plan) -> Window:
        """Measures at the planned rate."""
        return self._run(self._window(plan))

    def seconds(self, plan: Plan) -> float:
        """Planned length of a window."""
        settings = self._settings
        least = (
            settings.min_window_s,
            settings.requests / (plan.rate or settings.requests),
            settings.least_window_s if plan.rate else 0,
        )
        factor = CONFIRMATION if plan.purpose == "confirmation" else 1
        return factor * min(max(least), settings.max_window_s)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    async def _connect(self, url: str, bodies: list[Body]) -> None:
        timeout_s, path = self._settings.request_timeout_s, f"/predictions/{self._settings.served.name}"
        for body, kind in bodies:
            if kind not in self._senders:
                self._senders[kind] = Sender(url, timeout_s, {"Content-Type": kind})
            tolerance = self._settings.model.sample_tolerance
            request = CheckedRequest(self._senders[kind], path, body, tolerance, self._ended)
            self._requests.append(request)

    async def _close(self) -> None:
        for sender in self._senders.values():
            await sender.__aexit__(None, None, None)

    async def _warm_up(self) -> None:
        give_up, rounds = monotonic() + WARM_UP_TIMEOUT_S, 0
        while rounds < WARM_UP_ROUNDS:
            problems = await asyncio.gather(*(each.ask() for each in self._requests))
            problem = next(filter(None, problems), None)
            rounds = 0 if problem else rounds + 1
            if problem:
                if monotonic() > give_up:
                    raise NotServingError(f"{problem} without load")
                await asyncio.sleep(PAUSE_S)

    async def _window(self, plan: Plan) -> Window:
        seconds, tally = self.seconds(plan), Tally()
        self._bad, self._stop = 0, asyncio.Event()
        self._most_bad = LATE_SHARE * (plan.rate * seconds) if plan.rate else float("inf")
        start, cpu_s = perf_counter(), process_time()
        if plan.rate:
            due = itertools.takewhile(lambda due_s: due_s < seconds, profiles.constant(plan.rate))
            await send_at(self._requests, due, tally, self._stop)
        else:
            asyncio.get_running_loop().call_later(seconds, self._stop.set)
            count = 2 * plan.candidate.batch_size * plan.candidate.workers
            await asyncio.gather(*(self._ask_until_stop(tally, number) for number in range(count)))
        took_s, cpu_s = perf_counter() - start, process_time() - cpu_s
        in_time = plan.rate and not self._stop.is_set()
        percentiles = [tally.latencies.percentile_ms(each) if tally.answered else None for each in (50, 99)]
        return Window(
            plan=plan,
            complete=bool(in_time) or plan.rate is None,
            requests=tally.answered + tally.errors.total(),
            # The last answers of a window come after its end.
            images_per_s=tally.answered / (seconds if in_time else took_s),
            p50_ms=percentiles[0],
            p99_ms=percentiles[1],
            errors=dict(tally.errors),
            generator_percent=100 * cpu_s / took_s,
        )

    async def _ask_until_stop(self, tally: Tally, number: int) -> None:
        while not self._stop.is_set():
            if not await self._requests[number % len(self._requests)].send(tally, perf_counter()):
                await asyncio.sleep(PAUSE_S)

    def _ended(self, latency_s: float | None) -> None:
        if latency_s is None or latency_s * 1000 > self._settings.p99_ms:
            self._bad += 1
        if self._bad > self._most_bad:
            self._stop.set()

"""Streams of samples to live views: a bounded number, each at its own pace."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

from torchserve_gateway.gateway.deployed.fleet import Fleet
from torchserve_gateway.gateway.deployed.following import repeated
from torchserve_gateway.gateway.errors import OverloadedError
from torchserve_gateway.gateway.live.counters import CounterReader
from torchserve_gateway.gateway.live.history import INTERVAL_S, History
from torchserve_gateway.gateway.live.shared_counters import ReadsCounters, SharedCounterReader
from torchserve_gateway.gateway.prediction.admission import Admission
from torchserve_gateway.gateway.processes.siblings import Sibling
from torchserve_gateway.gateway.state import GatewayState
from torchserve_gateway.gateway.telemetry.metrics import Metrics
from torchserve_gateway.settings.project import ProjectSettings
from torchserve_gateway.torchserve_api.connection import TorchServe
from torchserve_gateway.torchserve_api.errors import TorchServeError

MAX_STREAMS = 16
RETRY_AFTER_S = 5
# Views connect again and show their key again: one that was revoked loses its view.
MAX_STREAM_S = 600.0
# Between two looks at the workers, which call TorchServe's Management API.
WORKERS_INTERVAL_S = 2.0


class LiveStreams:
    """Samples the gateway once a second, and the workers while there are views."""

    def __init__(self, history: History, fleet: Fleet, admission: Admission) -> None:
        self._history = history
        self._fleet = fleet
        self._admission = admission
        self._workers: dict[str, str] = {}
        self._news = asyncio.Event()
        self._runs = False
        self.streams = 0
        """Open streams."""

    @classmethod
    def of(
        cls,
        settings: ProjectSettings,
        torchserve: TorchServe,
        state: GatewayState,
        metrics: Metrics,
        sibling: Sibling | None,
    ) -> "LiveStreams":
        """The streams of one process of a gateway."""
        reader: ReadsCounters = CounterReader(metrics, state.routing, state.cache_counts)
        if sibling:
            shared = sibling.shared
            reader = SharedCounterReader(reader, shared.live, sibling.number, shared.processes)
        history = History(reader, state.routing, state.admission)
        return cls(history, Fleet(settings, torchserve, state.routing), state.admission)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Samples until the context ends, which ends all streams."""
        self._history.start()
        self._runs = True
        try:
            async with (
                repeated(self._sample, INTERVAL_S),
                repeated(self._look_at_workers, WORKERS_INTERVAL_S),
            ):
                yield
        finally:
            self._runs = False
            self._wake()

    async def slot(self) -> AsyncIterator[None]:
        """Counts a stream while its answer is sent; a dependency of FastAPI.

        Raises:
            OverloadedError: MAX_STREAMS are open.
        """
        if self.streams >= MAX_STREAMS:
            raise OverloadedError(
                f"{MAX_STREAMS} live views are open, which is the limit; close one", RETRY_AFTER_S
            )
        self.streams += 1
        try:
            yield
        finally:
            self.streams -= 1

    async def events(self) -> AsyncIterator[str]:
        """All kept samples as `history`, then each new one as `sample`, until the gateway drains."""
        ends_at = monotonic() + MAX_STREAM_S
        taken, samples = self._history.since(0)
        yield _event("history", f"[{','.join(samples)}]")
        while self._runs and not self._admission.draining and monotonic() < ends_at:
            await self._news.wait()
            # A slow client gets at most a ring of samples, whatever it missed.
            taken, samples = self._history.since(taken)
            if samples:
                yield "".join(_event("sample", each) for each in samples)

    async def _sample(self) -> None:
        self._history.sample(self._workers)
        self._wake()

    async def _look_at_workers(self) -> None:
        if not self.streams:
            self._workers = {}
            return
        try:
            async with asyncio.timeout(self._fleet.settings.gateway.health_timeout_s):
                found = await self._fleet.inventory(self._fleet.models)
        except (TorchServeError, TimeoutError):
            self._workers = {}
            return
        self._workers = {
            f"{row.model} {row.version}": f"{row.workers_ready}/{row.workers}" for row in found.rows if row.on
        }

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()


def _event(name: str, data: str) -> str:
    return f"event: {name}\ndata: {data}\n\n"

"""How many requests may be with TorchServe at once, how many may wait for that, and for how long.

TorchServe's own queue accepts whatever fits and answers it late; a request is better refused at once than
answered after its caller has gone.
"""

import asyncio
import math
import os
from collections.abc import Callable, Mapping
from time import monotonic

import anyio

from torchserve_gateway.gateway.deployed.routing import Routing
from torchserve_gateway.gateway.errors import DrainingError, OverloadedError
from torchserve_gateway.settings.gateway import AdmissionSettings
from torchserve_gateway.settings.model import ModelSettings
from torchserve_gateway.torchserve_api.errors import DeadlineExceededError

# One batch runs in each worker while the next one is collected.
BATCHES_PER_WORKER = 2
# Weight of the newest request in the mean.
MEAN_WEIGHT = 0.1


class Lane:
    """The requests of one model. mean_s: how long an admitted one is with TorchServe, s."""

    def __init__(self, limit: int) -> None:
        self._limiter = anyio.CapacityLimiter(limit)
        self.mean_s = 0.0

    @property
    def limit(self) -> int:
        """How many may be with TorchServe at once."""
        return int(self._limiter.total_tokens)

    @property
    def in_flight(self) -> int:
        """Requests with TorchServe."""
        return self._limiter.borrowed_tokens

    @property
    def waiting(self) -> int:
        """Requests that wait to be sent."""
        return self._limiter.statistics().tasks_waiting

    @property
    def expected_wait_s(self) -> float:
        """How long one more would wait, if those before it take as long as usual."""
        if self._limiter.available_tokens > 0:
            return 0.0
        return (self.waiting + 1) * self.mean_s / self._limiter.total_tokens

    def resize(self, limit: int) -> None:
        """Another limit; those in flight stay."""
        if self._limiter.total_tokens != limit:
            self._limiter.total_tokens = limit

    async def take(self, holder: object, timeout_s: float) -> None:
        """Waits for a slot, first come first served.

        Raises:
            TimeoutError: there was none within timeout_s.
        """
        async with asyncio.timeout(timeout_s):
            await self._limiter.acquire_on_behalf_of(holder)

    def give_back(self, holder: object, held_s: float) -> None:
        """Frees the slot. held_s: how long it was held."""
        self._limiter.release_on_behalf_of(holder)
        self.mean_s += MEAN_WEIGHT * (held_s - self.mean_s)


class Admission:
    """Lets requests through to TorchServe, each model's for itself."""

    def __init__(self, settings: AdmissionSettings, routing: Routing, model: ModelSettings) -> None:
        self._settings = settings
        self._routing = routing
        # Of a model that nobody put on record: as if it were deployed as configured, on one TorchServe.
        workers = model.workers or len(os.sched_getaffinity(0))
        self._default_limit = BATCHES_PER_WORKER * workers * model.batch_size
        self._lanes: dict[str, Lane] = {}
        self._draining = False

    @property
    def lanes(self) -> Mapping[str, Lane]:
        """By model, of those that had a request; the empty name is that of all who are not on record."""
        return self._lanes

    def drain(self) -> None:
        """Admits nothing from now on; what is admitted or waits is finished."""
        self._draining = True

    @property
    def draining(self) -> bool:
        """Whether this gateway is about to stop."""
        return self._draining

    def refuse_if_full(self, model: str) -> None:
        """Refuses a request whose turn would not come in time, before anything was done for it.

        Raises:
            DrainingError, OverloadedError: it is not admitted.
        """
        if self._draining:
            raise DrainingError("this gateway is stopping")
        self._unless_full(model)

    async def slot(self, model: str, deadline_s: float) -> Callable[[], None]:
        """Takes one of the model's slots; a caller that is cancelled while it waits gives up its place.

        Returns:
            a function that gives the slot back, to be called once.

        Raises:
            OverloadedError: its turn would not come, or did not come, within `max_wait_s`.
            DeadlineExceededError: nor within deadline_s, which is shorter.
        """
        lane, holder = self._unless_full(model), object()
        try:
            await lane.take(holder, min(self._settings.max_wait_s, deadline_s))
        except TimeoutError as exc:
            if deadline_s < self._settings.max_wait_s:
                raise DeadlineExceededError(
                    f"the request's time was over while it waited for its turn: {lane.in_flight} requests "
                    f"for {model} are in flight and {lane.waiting} wait"
                ) from exc
            raise self._overloaded(model, lane) from exc
        started = monotonic()
        return lambda: lane.give_back(holder, monotonic() - started)

    def _unless_full(self, model: str) -> Lane:
        lane = self.lane(model)
        must_wait = lane.in_flight >= lane.limit
        is_full = must_wait and lane.waiting >= self._settings.max_waiting
        if is_full or lane.expected_wait_s > self._settings.max_wait_s:
            raise self._overloaded(model, lane)
        return lane

    def lane(self, model: str) -> Lane:
        """The model's lane, with the limit that what is deployed now asks for."""
        # What is not on record shares one lane: strangers' names must not make as many as they like.
        name = model if model in self._routing.record.models else ""
        limit = self._limit(name)
        lane = self._lanes.setdefault(name, Lane(limit))
        lane.resize(limit)
        return lane

    def _limit(self, model: str) -> int:
        if self._settings.max_in_flight is not None:
            return self._settings.max_in_flight
        deployed = self._routing.record.models.get(model)
        if deployed is None:
            return self._default_limit
        serving = deployed.serving
        workers = serving.initial_workers * deployed.replicas
        return BATCHES_PER_WORKER * workers * serving.batch_size

    def _overloaded(self, model: str, lane: Lane) -> OverloadedError:
        return OverloadedError(
            f"{model} is overloaded: {lane.in_flight} requests are in flight and {lane.waiting} wait; "
            f"one more would wait about {lane.expected_wait_s:.1f} s, at most "
            f"{self._settings.max_wait_s:g} s are allowed",
            retry_after_s=max(1, math.ceil(lane.expected_wait_s)),
        )

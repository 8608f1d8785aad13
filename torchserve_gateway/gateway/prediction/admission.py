"""Whether a request may be sent to TorchServe, and when.

TorchServe's own queue accepts whatever fits and answers it late; a request is better refused at once than
answered after its client has gone.
"""

import math
from collections.abc import Callable, Mapping

from torchserve_gateway.gateway.deployed.routing import Routing
from torchserve_gateway.gateway.deployed.served_models import ServedModels
from torchserve_gateway.gateway.errors import DrainingError, OverloadedError
from torchserve_gateway.gateway.prediction.lanes import Lane, Slot
from torchserve_gateway.gateway.processes.shared_lanes import SharedLane, SharedSlot
from torchserve_gateway.settings.gateway import AdmissionSettings
from torchserve_gateway.torchserve_api.errors import DeadlineExceededError

# One batch runs in each worker while the next batch is collected.
BATCHES_PER_WORKER = 2
# Lane that all models share that are neither on record nor configured: invented names must not make lanes.
UNKNOWN_MODELS = ""

AnyLane = Lane | SharedLane
NewLane = Callable[[str, int], AnyLane]
"""Makes the lane of a model with so many slots."""


def _own_lane(_: str, limit: int) -> Lane:
    """A lane of this process alone."""
    return Lane(limit)


class Admission:
    """Limits the requests that are with TorchServe and those that wait, by model."""

    def __init__(
        self,
        settings: AdmissionSettings,
        routing: Routing,
        models: ServedModels,
        new_lane: NewLane | None = None,
    ) -> None:
        self._settings = settings
        self._routing = routing
        self._models = models
        self._new_lane = new_lane or _own_lane
        self._lanes: dict[str, AnyLane] = {}
        self._draining = False

    @property
    def lanes(self) -> Mapping[str, AnyLane]:
        """By model, of those that had a request; UNKNOWN_MODELS for all that are not known."""
        return self._lanes

    def drain(self) -> None:
        """Admits nothing new; admitted and waiting requests are finished."""
        self._draining = True

    @property
    def draining(self) -> bool:
        """Whether this gateway is about to stop."""
        return self._draining

    def refuse_if_full(self, model: str) -> None:
        """Refuses a request whose turn would not come in time, before its body is read into memory.

        Raises:
            DrainingError, OverloadedError: it is not admitted.
        """
        if self._draining:
            raise DrainingError("this gateway is stopping")
        self._unless_full(model)

    async def slot(self, model: str, left_s: float) -> Slot | SharedSlot:
        """Takes a slot of the model. A caller that is cancelled while it waits gives up its place.

        Args:
            model: Name as in the path.
            left_s: Seconds that the request has left.

        Raises:
            OverloadedError: its turn would not come, or did not come, within `max_wait_s`.
            DeadlineExceededError: its turn did not come within `left_s`, which is shorter.
        """
        lane = self._unless_full(model)
        try:
            return await lane.take(min(self._settings.max_wait_s, left_s))
        except TimeoutError as exc:
            if left_s < self._settings.max_wait_s:
                raise DeadlineExceededError(
                    f"the request's time was over while it waited for its turn: {lane.in_flight} requests "
                    f"for {model} are in flight and {lane.waiting} wait"
                ) from exc
            raise self._overloaded(model, lane) from exc

    def _unless_full(self, model: str) -> AnyLane:
        lane = self.lane(model)
        must_wait = lane.in_flight >= lane.limit
        is_full = must_wait and lane.waiting >= self._settings.max_waiting
        if is_full or lane.expected_wait_s > self._settings.max_wait_s:
            raise self._overloaded(model, lane)
        return lane

    def lane(self, model: str) -> AnyLane:
        """The model's lane, with the limit that follows from the versions deployed now."""
        is_known = model in self._routing.record.models or model in self._models.configured
        name = model if is_known else UNKNOWN_MODELS
        limit = self._limit(name)
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = self._new_lane(name, limit)
        lane.resize(limit)
        return lane

    def _limit(self, model: str) -> int:
        served = self._models.of(model)
        configured = served.max_in_flight or self._settings.max_in_flight
        if configured is not None:
            return configured
        deployed = self._routing.record.models.get(model)
        if deployed is None:
            # Counts as deployed as configured, on one TorchServe.
            return BATCHES_PER_WORKER * served.workers * served.batch_size
        serving = deployed.serving
        workers = serving.initial_workers * deployed.replicas
        return BATCHES_PER_WORKER * workers * serving.batch_size

    def _overloaded(self, model: str, lane: AnyLane) -> OverloadedError:
        return OverloadedError(
            f"{model} is overloaded: {lane.in_flight} requests are in flight and {lane.waiting} wait; "
            f"one more would wait about {lane.expected_wait_s:.1f} s, at most "
            f"{self._settings.max_wait_s:g} s are allowed",
            retry_after_s=max(1, math.ceil(lane.expected_wait_s)),
        )

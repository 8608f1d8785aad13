"""Stage: kept answers, and one prediction for all requests that ask the same at the same time."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from torchserve_gateway.gateway.deployed.routing import Routing
from torchserve_gateway.gateway.prediction.cache_key import cache_key
from torchserve_gateway.gateway.prediction.cache_stores import CachedAnswer, CacheStore
from torchserve_gateway.gateway.prediction.stage import Stage
from torchserve_gateway.gateway.telemetry.request_context import RequestContext
from torchserve_gateway.torchserve_api.errors import DeadlineExceededError, RequestRefusedError
from torchserve_gateway.torchserve_api.inference import Job, Prediction

Result = Literal["hit", "miss", "shared", "bypass"]
RESULTS: tuple[Result, ...] = get_args(Result)


@dataclass(slots=True)
class CacheCounts:
    """Predictions since the gateway's start."""

    by_model: defaultdict[str, dict[Result, int]] = field(
        default_factory=lambda: defaultdict(lambda: dict.fromkeys(RESULTS, 0))
    )
    """By model on record, and by how they were answered."""


@dataclass(frozen=True, slots=True)
class CacheControl:
    """Permissions of a request's Cache-Control."""

    may_read: bool = True
    """Answer with a kept answer."""
    may_keep: bool = True
    """Keep the answer."""

    @classmethod
    def of(cls, header: str) -> "CacheControl":
        """Reads the header; RFC 9111, section 5.2.1, which ignores unknown directives."""
        directives = {each.strip().lower().replace(" ", "") for each in header.split(",")}
        no_store = "no-store" in directives
        return cls(
            may_read=not (no_store or directives & {"no-cache", "max-age=0"}),
            may_keep=not no_store,
        )


@dataclass(slots=True)
class _Flight:
    """A prediction on its way."""

    task: asyncio.Task[Prediction]
    waiters: int = 0
    """Requests that want it; without any it is cancelled."""


class Cache:
    """Answers from a store, or asks once. Keeps predictions of the serving version only."""

    __slots__ = ("_counts", "_flights", "_next", "_routing", "_store")

    def __init__(self, routing: Routing, store: CacheStore, counts: CacheCounts, next_stage: Stage) -> None:
        self._routing = routing
        self._store = store
        self._counts = counts
        self._next = next_stage
        self._flights: dict[str, _Flight] = {}

    async def predict(self, job: Job, context: RequestContext) -> Prediction:
        """The kept answer, or that of a prediction on its way, or of a new one.

        Raises:
            DeadlineExceededError: a shared prediction took too long.
            GatewayError, TorchServeError: whatever the next stage raises.
        """
        archive = self._routing.archive_sha256(job.model, job.version)
        if archive is None or job.operation != "predict":
            return await self._next.predict(job, context)
        key, control = cache_key(job, archive), CacheControl.of(context.cache_control)
        result: Result
        if not control.may_read:
            prediction, result = await self._next.predict(job, context), "bypass"
        elif kept := await self._store.get(key):
            prediction, result = _restored(kept), "hit"
        else:
            prediction, result = await self._shared(key, job, context)
        self._counts.by_model[job.model][result] += 1
        is_new = result in ("miss", "bypass")
        if control.may_keep and is_new and prediction.status == 200 and prediction.version == job.version:
            await self._store.put(key, _kept(prediction))
        # The request whose job was sent has counted the wait for a slot.
        return replace(prediction, cache=result, admission_s=prediction.admission_s if is_new else None)

    async def _shared(self, key: str, job: Job, context: RequestContext) -> tuple[Prediction, Result]:
        while True:
            result: Result = "shared" if key in self._flights else "miss"
            try:
                prediction = await self._join(self._flight(key, job, context), key, context.left_s)
                if result == "miss" or prediction.status < 500 or context.left_s <= 0:
                    return prediction, result
            except RequestRefusedError:
                # The model refuses this image from every client.
                raise
            except Exception:
                # The first request's deadline, or a passing fault: the others ask anew while they have time.
                if result == "miss" or context.left_s <= 0:
                    raise

    def _flight(self, key: str, job: Job, context: RequestContext) -> _Flight:
        flight = self._flights.get(key)
        if flight is None:
            task = asyncio.ensure_future(self._next.predict(job, context))
            flight = self._flights[key] = _Flight(task)
            task.add_done_callback(lambda ended: self._land(key, ended))
        return flight

    async def _join(self, flight: _Flight, key: str, timeout_s: float) -> Prediction:
        flight.waiters += 1
        try:
            async with asyncio.timeout(max(timeout_s, 0)):
                return await asyncio.shield(flight.task)
        except TimeoutError as exc:
            raise DeadlineExceededError("the prediction that others wait for, too, took too long") from exc
        finally:
            flight.waiters -= 1
            if not flight.waiters and not flight.task.done():
                flight.task.cancel()
                self._land(key, flight.task)
            # The task's exception has this frame in its traceback: a cycle would keep the body.
            del flight

    def _land(self, key: str, task: asyncio.Task[Prediction]) -> None:
        """Ends a flight, unless another has taken the place of a cancelled flight."""
        flight = self._flights.get(key)
        if flight and flight.task is task:
            del self._flights[key]


def _kept(prediction: Prediction) -> CachedAnswer:
    return CachedAnswer(prediction.body, prediction.content_type, prediction.version, prediction.headers)


def _restored(kept: CachedAnswer) -> Prediction:
    return Prediction(
        body=kept.body,
        content_type=kept.content_type,
        version=kept.version,
        torchserve_s=0.0,
        torchserve_request_id=None,
        headers=kept.headers,
    )

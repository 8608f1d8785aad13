"""Answers that were given before, and one prediction for all who ask the same at the same time.

An answer belongs to the bytes that were sent, their content type, the headers that the handler gets, the
model, the version and that version's archive. So after a swap, which changes the version that is asked for,
no old answer can be found.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Literal

from torchserve_gateway.gateway.prediction.cache_stores import CachedAnswer, CacheStore
from torchserve_gateway.torchserve_api.errors import DeadlineExceededError, RequestRefusedError
from torchserve_gateway.torchserve_api.inference import Job, Prediction

# Of the sender, the way here or the request's handling: with these each client would have its own answers.
NOT_IN_KEY = frozenset(
    {
        *(b"user-agent", b"from", b"origin", b"referer", b"dnt", b"priority", b"date", b"cache-control"),
        *(b"pragma", b"via", b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-port"),
        *(b"x-forwarded-proto", b"x-real-ip", b"x-correlation-id", b"idempotency-key"),
        *(b"baggage", b"b3"),
    }
)
NOT_IN_KEY_PREFIXES = (b"sec-", b"x-b3-")

Result = Literal["hit", "miss", "shared", "bypass"]


@dataclass
class CacheCounts:
    """Requests by how they were answered, since the gateway's start."""

    results: dict[Result, int] = field(
        default_factory=lambda: dict.fromkeys(("hit", "miss", "shared", "bypass"), 0)
    )


@dataclass(frozen=True)
class CacheControl:
    """What a request's Cache-Control allows: answering from what was kept, and keeping the answer."""

    may_read: bool = True
    may_keep: bool = True

    @classmethod
    def of(cls, header: str | None) -> "CacheControl":
        """Reads the header; RFC 9111, section 5.2.1. What is not known there is ignored, as it asks."""
        directives = {each.strip().lower().replace(" ", "") for each in (header or "").split(",")}
        no_store = "no-store" in directives
        return cls(
            may_read=not (no_store or directives & {"no-cache", "max-age=0"}),
            may_keep=not no_store,
        )


@dataclass
class _Flight:
    """A prediction that is being made. waiters: how many want it; without any it is called off."""

    task: asyncio.Task[Prediction]
    waiters: int = 0


class ResponseCache:
    """Answers from a store, or by asking once."""

    def __init__(self, store: CacheStore) -> None:
        self._store = store
        self._flights: dict[str, _Flight] = {}
        self.counts = CacheCounts()

    async def answer(
        self,
        job: Job,
        archive_sha256: str,
        control: CacheControl,
        ask: Callable[[], Awaitable[Prediction]],
        deadline_s: float,
    ) -> tuple[Prediction, Result]:
        """The kept answer, or the one of a prediction that is on its way, or of a new one.

        archive_sha256: of the version that the job names; only its answers are kept. ask: makes the
        prediction; runs at most once for all who share it, and to its end even if the one who came first
        goes away.

        Raises:
            whatever `ask` raises; DeadlineExceededError: a shared prediction took longer than deadline_s.
        """
        key = cache_key(job, archive_sha256)
        result: Result = "bypass"
        if control.may_read:
            kept = await self._store.get(key)
            if kept is not None:
                self.counts.results["hit"] += 1
                return _prediction(kept), "hit"
            prediction, result = await self._shared(key, ask, deadline_s)
        else:
            prediction = await ask()
        self.counts.results[result] += 1
        keeps = prediction.status == 200 and prediction.version == job.version
        if control.may_keep and result != "shared" and keeps:
            await self._store.put(key, _kept(prediction))
        return prediction, result

    async def _shared(
        self, key: str, ask: Callable[[], Awaitable[Prediction]], deadline_s: float
    ) -> tuple[Prediction, Result]:
        give_up = monotonic() + deadline_s
        while True:
            flight = self._flights.get(key)
            result: Result = "shared" if flight else "miss"
            if flight is None:
                flight = self._flights[key] = _Flight(asyncio.ensure_future(_run(ask)))
                flight.task.add_done_callback(lambda _, key=key: self._flights.pop(key, None))  # type: ignore[misc]
            try:
                prediction = await self._wait(flight, give_up - monotonic())
                if result == "miss" or prediction.status < 500 or monotonic() >= give_up:
                    return prediction, result
            except RequestRefusedError:
                # What the model says of this image it says to everybody.
                raise
            except Exception:
                # The first one's deadline, or a fault in its moment: who has time left asks anew.
                if result == "miss" or monotonic() >= give_up:
                    raise

    async def _wait(self, flight: _Flight, timeout_s: float) -> Prediction:
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


async def _run(ask: Callable[[], Awaitable[Prediction]]) -> Prediction:
    return await ask()


def cache_key(job: Job, archive_sha256: str) -> str:
    """One text for all that an answer depends on."""
    digest = hashlib.blake2b(job.body, digest_size=32)
    for part in (job.model, str(job.version), archive_sha256, job.content_type):
        digest.update(b"\0" + part.encode())
    for name, value in sorted((name.lower(), value) for name, value in job.headers):
        if name not in NOT_IN_KEY and not name.startswith(NOT_IN_KEY_PREFIXES):
            digest.update(b"\0" + name + b":" + value)
    return digest.hexdigest()


def _kept(prediction: Prediction) -> CachedAnswer:
    return CachedAnswer(prediction.body, prediction.content_type, prediction.version, prediction.headers)


def _prediction(kept: CachedAnswer) -> Prediction:
    return Prediction(
        body=kept.body,
        content_type=kept.content_type,
        version=kept.version,
        torchserve_s=0.0,
        torchserve_request_id=None,
        headers=kept.headers,
    )

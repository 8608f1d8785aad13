"""The Inference API as the routes see it: asked again where that is safe, left alone while it is down."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

import stamina
from purgatory import AsyncCircuitBreakerFactory
from purgatory.domain.model import OpenedState

from gateway.errors import UpstreamDownError
from gateway.settings import UpstreamSettings
from torchserve_api.errors import NoCapacityError, NotConnectedError, UnreachableError
from torchserve_api.inference import InferenceClient, Job, Prediction

# The job never ran; anything else may have been executed, or would fail again.
SAFE_TO_REPEAT = (NotConnectedError, NoCapacityError)
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 0.5
JITTER_S = 0.05


class Upstream:
    """One address of TorchServe's Inference API. deadline_s everywhere: for all attempts together."""

    def __init__(self, inference: InferenceClient, settings: UpstreamSettings) -> None:
        self._inference = inference
        self._attempts = settings.attempts
        self._open_s = settings.breaker_open_s
        # An answer of any kind shows that it is reached; a caller that goes away shows nothing.
        others = (Exception, lambda exc: not isinstance(exc, UnreachableError))
        self._breakers = AsyncCircuitBreakerFactory(
            default_threshold=settings.breaker_failures,
            default_ttl=settings.breaker_open_s,
            exclude=[asyncio.CancelledError, others],
        )

    async def predict(self, job: Job, deadline_s: float) -> Prediction:
        """As `InferenceClient.predict`.

        Raises:
            UpstreamDownError: TorchServe was not asked.
            TorchServeError: as the subclass that fits, of the last attempt.
        """
        return await self._ask(self._inference.predict, job, deadline_s)

    async def explain(self, job: Job, deadline_s: float) -> Prediction:
        """As `InferenceClient.explain`.

        Raises:
            UpstreamDownError: TorchServe was not asked.
            TorchServeError: as the subclass that fits, of the last attempt.
        """
        return await self._ask(self._inference.explain, job, deadline_s)

    async def _ask(
        self, ask: Callable[[Job, float], Awaitable[Prediction]], job: Job, deadline_s: float
    ) -> Prediction:
        give_up = monotonic() + deadline_s
        async for attempt in stamina.retry_context(
            on=SAFE_TO_REPEAT,
            attempts=self._attempts,
            timeout=deadline_s,
            wait_initial=FIRST_PAUSE_S,
            wait_max=LONGEST_PAUSE_S,
            wait_jitter=JITTER_S,
        ):
            with attempt:
                breaker = await self._breakers.get_breaker("TorchServe")
                try:
                    async with breaker:
                        left_s = max(give_up - monotonic(), 0)
                        return await ask(job, left_s)
                except OpenedState as exc:
                    raise UpstreamDownError(
                        "TorchServe could not be reached several times in a row; "
                        f"it is tried again every {self._open_s:g} s"
                    ) from exc
        raise AssertionError("stamina returns or raises")

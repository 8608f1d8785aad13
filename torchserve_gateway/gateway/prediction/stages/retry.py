"""The Inference API as the routes see it: asked again where that is safe, left alone while it is down."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from time import monotonic

from torchserve_gateway.gateway.prediction.circuit import Breaker
from torchserve_gateway.settings.gateway import UpstreamSettings
from torchserve_gateway.torchserve_api.errors import (
    DeadlineExceededError,
    InvalidRequestError,
    NoCapacityError,
    NotConnectedError,
    TorchServeError,
    UnreachableError,
)
from torchserve_gateway.torchserve_api.inference import InferenceClient, Job, Prediction

logger = logging.getLogger(__name__)

# The job never ran; anything else may have been executed, or would fail again.
SAFE_TO_REPEAT = (NotConnectedError, NoCapacityError)
# Of the request's making, or of nobody's: they do not tell whether TorchServe is reached.
TELL_NOTHING = (DeadlineExceededError, InvalidRequestError)
# After the first attempt; then the caller is told.
REPEATED_FOR_S = 1.0
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 0.5
JITTER_S = 0.05
PING_TIMEOUT_S = 1.0


class Upstream:
    """One address of TorchServe's Inference API. deadline_s everywhere: for all attempts together."""

    def __init__(self, inference: InferenceClient, settings: UpstreamSettings) -> None:
        self._inference = inference
        self._attempts = settings.attempts
        self._breaker = Breaker(settings.breaker_failures, settings.breaker_open_s)

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
        started = monotonic()
        give_up, repeat_until = started + deadline_s, started + min(deadline_s, REPEATED_FOR_S)
        # Not by stamina: tenacity keeps the exception, and by its frames the request's body, in a cycle.
        for attempt in range(self._attempts - 1):
            pause_s = min(FIRST_PAUSE_S * 2**attempt, LONGEST_PAUSE_S)
            pause_s += random.uniform(0, JITTER_S)  # noqa: S311 - nothing secret
            try:
                return await self._ask_once(ask, job, give_up - monotonic())
            except SAFE_TO_REPEAT as exc:
                if monotonic() + pause_s > repeat_until:
                    raise
                logger.info("TorchServe is asked again in %.2f s: %s", pause_s, exc)
            await asyncio.sleep(pause_s)
        return await self._ask_once(ask, job, give_up - monotonic())

    async def _ask_once(
        self, ask: Callable[[Job, float], Awaitable[Prediction]], job: Job, deadline_s: float
    ) -> Prediction:
        self._breaker.admit()
        try:
            prediction = await ask(job, max(deadline_s, 0))
        except NotConnectedError:
            self._breaker.failed()
            raise
        except UnreachableError:
            # A request can be why its own connection died; then TorchServe answers everybody else.
            await self._ask_for_health()
            raise
        except TELL_NOTHING:
            raise
        except TorchServeError:
            self._breaker.answered()
            raise
        self._breaker.answered()
        return prediction

    async def _ask_for_health(self) -> None:
        try:
            await self._inference.ping(PING_TIMEOUT_S)
        except UnreachableError:
            self._breaker.failed()
        except TELL_NOTHING:
            pass
        except TorchServeError:
            self._breaker.answered()
        else:
            self._breaker.answered()

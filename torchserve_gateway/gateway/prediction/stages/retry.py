"""Stage: asks again where that is safe."""

import asyncio
import logging
import random
from dataclasses import dataclass
from time import monotonic

from torchserve_gateway.gateway.prediction.stage import Stage
from torchserve_gateway.gateway.telemetry.request_context import RequestContext
from torchserve_gateway.torchserve_api.errors import NoCapacityError, NotConnectedError
from torchserve_gateway.torchserve_api.inference import Job, Prediction

logger = logging.getLogger(__name__)

# The job never ran; after any other failure it may have run, or would fail again.
SAFE_TO_REPEAT = (NotConnectedError, NoCapacityError)
# Seconds after the first attempt.
REPEATED_FOR_S = 1.0
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 0.5
JITTER_S = 0.05


@dataclass(frozen=True, slots=True)
class Retry:
    """Repeats a job that never ran, with growing pauses."""

    attempts: int
    """Including the first."""
    next_stage: Stage

    async def predict(self, job: Job, context: RequestContext) -> Prediction:
        """As `Stage.predict`.

        Raises:
            GatewayError, TorchServeError: of the last attempt.
        """
        repeat_until = monotonic() + min(context.left_s, REPEATED_FOR_S)
        # Not by stamina: tenacity keeps the exception, and by its frames the request's body, in a cycle.
        for attempt in range(self.attempts - 1):
            try:
                return await self.next_stage.predict(job, context)
            except SAFE_TO_REPEAT as exc:
                pause_s = min(FIRST_PAUSE_S * 2**attempt, LONGEST_PAUSE_S)
                pause_s += random.uniform(0, JITTER_S)  # noqa: S311 - nothing secret
                if monotonic() + pause_s > repeat_until:
                    raise
                logger.info("TorchServe is asked again in %.2f s: %s", pause_s, exc)
            await asyncio.sleep(pause_s)
        return await self.next_stage.predict(job, context)

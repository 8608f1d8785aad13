"""Stage: TorchServe's default version where it lacks the version that the record names."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from torchserve_gateway.gateway.prediction.stage import Stage
from torchserve_gateway.gateway.telemetry.request_context import RequestContext
from torchserve_gateway.torchserve_api.errors import ModelNotFoundError
from torchserve_gateway.torchserve_api.inference import Job, Prediction


@dataclass(frozen=True, slots=True)
class Fallback:
    """Asks again without a version if the chosen version is not there; the job never ran.

    The version that TorchServe has by default passed its check, too.
    """

    refresh: Callable[[], Awaitable[None]]
    """Reads the record, which may name another version by now."""
    next_stage: Stage

    async def predict(self, job: Job, context: RequestContext) -> Prediction:
        """As `Stage.predict`.

        Raises:
            ModelNotFoundError: the client named the version, or there is no default either.
        """
        try:
            return await self.next_stage.predict(job, context)
        except ModelNotFoundError:
            if context.requested_version is not None or job.version is None:
                raise
        await self.refresh()
        return await self.next_stage.predict(replace(job, version=None), context)

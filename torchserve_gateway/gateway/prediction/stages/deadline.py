"""Stage: refuses a job whose time is over before it is looked at."""

from dataclasses import dataclass

from torchserve_gateway.gateway.prediction.stage import Stage
from torchserve_gateway.gateway.telemetry.request_context import RequestContext
from torchserve_gateway.torchserve_api.errors import DeadlineExceededError
from torchserve_gateway.torchserve_api.inference import Job, Prediction


@dataclass(frozen=True, slots=True)
class Deadline:
    """Passes jobs on that have time left."""

    next_stage: Stage

    async def predict(self, job: Job, context: RequestContext) -> Prediction:
        """As `Stage.predict`.

        Raises:
            DeadlineExceededError: none is left.
        """
        if context.left_s <= 0:
            allowed_s = context.deadline - context.started
            raise DeadlineExceededError(
                f"the request's {allowed_s:g} s were over before TorchServe was asked"
            )
        return await self.next_stage.predict(job, context)

"""Stage: the call of TorchServe, the innermost stage."""

from dataclasses import dataclass

from torchserve_gateway.gateway.telemetry.request_context import RequestContext
from torchserve_gateway.torchserve_api.inference import InferenceClient, Job, Prediction


@dataclass(frozen=True, slots=True)
class TorchServeCall:
    """Sends a job with the time that is left."""

    inference: InferenceClient

    async def predict(self, job: Job, context: RequestContext) -> Prediction:
        """As `Stage.predict`."""
        return await self.inference.predict(job, max(context.left_s, 0))

"""Stage: the version that the routing chooses for a request."""

from collections.abc import Collection
from dataclasses import dataclass, replace

from torchserve_gateway.gateway.deployed.routing import Routing
from torchserve_gateway.gateway.prediction.stage import Stage
from torchserve_gateway.gateway.telemetry.request_context import RequestContext
from torchserve_gateway.torchserve_api.errors import ModelNotFoundError
from torchserve_gateway.torchserve_api.inference import Job, Prediction


@dataclass(frozen=True, slots=True)
class VersionChoice:
    """Names the version in the job, so that every stage further in sees a single version."""

    routing: Routing
    next_stage: Stage
    explains: bool = True
    """Whether an error names what is deployed."""
    configured: Collection[str] = ()
    """Models that such an error names besides."""

    async def predict(self, job: Job, context: RequestContext) -> Prediction:
        """As `Stage.predict`.

        Raises:
            ModelNotFoundError: the requested version is being retired, or TorchServe has no such version.
        """
        version = self.routing.choose(job.model, job.version, context.routing_key)
        # Written before the job is passed on: a failure counts as this version's.
        context.version = version
        chosen = job if version == job.version else replace(job, version=version)
        try:
            return await self.next_stage.predict(chosen, context)
        except ModelNotFoundError as exc:
            if not self.explains:
                raise
            raise self.routing.explained(exc, job.model, job.version, self.configured) from exc

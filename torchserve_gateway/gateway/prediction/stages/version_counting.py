"""Stage: counts by version, by which the deployer judges a version on trial."""

from dataclasses import dataclass

from torchserve_gateway.gateway.deployed.routing import Routing
from torchserve_gateway.gateway.prediction.stage import Stage
from torchserve_gateway.gateway.telemetry.request_context import RequestContext
from torchserve_gateway.torchserve_api.errors import ModelNotFoundError, RequestRefusedError
from torchserve_gateway.torchserve_api.inference import Job, Prediction


@dataclass(frozen=True, slots=True)
class VersionCounting:
    """Counts a job while it is in flight and how it ended; explanations do not judge a version.

    A client's mistake, or a client that gave up, is no failure of the version.
    """

    routing: Routing
    next_stage: Stage

    async def predict(self, job: Job, context: RequestContext) -> Prediction:
        """As `Stage.predict`."""
        counts, is_judged = self.routing.counts_of(job.model, job.version), job.operation == "predict"
        counts.in_flight += 1
        try:
            prediction = await self.next_stage.predict(job, context)
        except RequestRefusedError as exc:
            # The record sends requests to a version that is not there: the version's failure.
            counts.failed += is_judged and isinstance(exc, ModelNotFoundError)
            raise
        except Exception:
            counts.failed += is_judged
            raise
        finally:
            counts.in_flight -= 1
        if is_judged and prediction.status < 500:
            counts.observe(prediction.torchserve_s)
        elif is_judged:
            counts.failed += 1
        return prediction

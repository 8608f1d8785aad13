"""Stage: copies of requests for a version on trial, whose answers are compared and counted, never sent."""

import json
import logging
from dataclasses import dataclass, replace

from torchserve_gateway.gateway.deployed.routing import Routing
from torchserve_gateway.gateway.prediction.background_tasks import BackgroundTasks
from torchserve_gateway.gateway.prediction.stage import Stage
from torchserve_gateway.gateway.telemetry.request_context import RequestContext
from torchserve_gateway.record.reports import Comparison
from torchserve_gateway.torchserve_api.errors import TorchServeError
from torchserve_gateway.torchserve_api.inference import Job, Prediction

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Shadow:
    """Sends copies after the real answer has come, so that no client waits for a copy."""

    routing: Routing
    copies: BackgroundTasks
    """Copies on their way."""
    max_copies: int
    """Copies at a time; further copies are counted as skipped."""
    tolerance: float
    """Largest difference of a probability that counts as the same."""
    copy_stage: Stage
    """Sends a copy."""
    next_stage: Stage

    async def predict(self, job: Job, context: RequestContext) -> Prediction:
        """As `Stage.predict`."""
        shadow = None
        if job.operation == "predict" and context.requested_version is None:
            shadow = self.routing.shadow(job.model, context.routing_key)
        allowed_s = context.left_s
        prediction = await self.next_stage.predict(job, context)
        if shadow and prediction.status < 400 and prediction.cache != "hit":
            self._copy(replace(job, version=shadow), context.detached(allowed_s), prediction)
        return prediction

    def _copy(self, job: Job, context: RequestContext, real: Prediction) -> None:
        comparison = self.routing.counts_of(job.model, job.version).shadow
        if len(self.copies) >= self.max_copies:
            comparison.skipped += 1
        else:
            self.copies.start(self._compare(job, context, real, comparison))

    async def _compare(
        self, job: Job, context: RequestContext, real: Prediction, comparison: Comparison
    ) -> None:
        try:
            copy = await self.copy_stage.predict(job, context)
            if copy.error:
                raise copy.error
            expected, answer = _probabilities(real.body), _probabilities(copy.body)
        except (TorchServeError, ValueError) as exc:
            comparison.failed += 1
            logger.info("the copy for %s %s failed: %s", job.model, job.version, exc)
            return
        comparison.compared += 1
        comparison.same_class += max(expected, key=expected.__getitem__) == max(
            answer, key=answer.__getitem__
        )
        comparison.within_tolerance += expected.keys() == answer.keys() and all(
            abs(expected[label] - answer[label]) <= self.tolerance for label in expected
        )


def _probabilities(body: bytes) -> dict[str, float]:
    answer = json.loads(body)
    if not isinstance(answer, dict) or not answer:
        raise ValueError(f"{body[:100]!r} is not {{class: probability}}")
    return {str(label): float(value) for label, value in answer.items()}

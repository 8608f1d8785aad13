"""Stage: copies of requests for a version on trial, whose answers are compared and counted, never sent."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeGuard

from pydantic_core import from_json

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
    """Largest difference of a number, such as a probability, that counts as the same."""
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
            is_same_class, is_within_tolerance = self._compared(real, copy)
        except (TorchServeError, ValueError, OverflowError) as exc:
            comparison.failed += 1
            logger.info("the copy for %s %s failed: %s", job.model, job.version, exc)
            return
        comparison.compared += 1
        comparison.same_class += is_same_class
        comparison.within_tolerance += is_within_tolerance

    def _compared(self, real: Prediction, copy: Prediction) -> tuple[bool, bool]:
        """Whether both have the same class on top, and the same answer but for the tolerance.

        Answers other than {class: number} have the same class where they are the same.
        """
        expected, answer = _value(real), _value(copy)
        is_same = _is_same(expected, answer, self.tolerance)
        if not (isinstance(expected, Mapping) and _are_scores(expected)):
            return is_same, is_same
        if not (isinstance(answer, Mapping) and _are_scores(answer)):
            raise ValueError(f"{copy.body[:100]!r} is not {{class: probability}}")
        return max(expected, key=expected.__getitem__) == max(answer, key=answer.__getitem__), is_same


def _value(prediction: Prediction) -> object:
    """The answer as JSON, or its bytes."""
    try:
        return from_json(prediction.body)
    except ValueError:
        return prediction.body


def _are_scores(answer: Mapping[str, object]) -> bool:
    return bool(answer) and all(_is_number(value) for value in answer.values())


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_same(expected: object, answer: object, tolerance: float) -> bool:
    """Whether two JSON values are equal, but for numbers, which may differ by the tolerance."""
    if _is_number(expected) and _is_number(answer):
        return expected == answer or abs(expected - answer) <= tolerance
    if isinstance(expected, Mapping) and isinstance(answer, Mapping):
        return expected.keys() == answer.keys() and all(
            _is_same(value, answer[key], tolerance) for key, value in expected.items()
        )
    if isinstance(expected, list) and isinstance(answer, list):
        return len(expected) == len(answer) and all(
            _is_same(*pair, tolerance) for pair in zip(expected, answer, strict=True)
        )
    return type(expected) is type(answer) and expected == answer

"""Copies of requests for a version on trial: its answers are compared and counted, and nobody gets them."""

import asyncio
import json
import logging

from torchserve_gateway.gateway.deployed.routing import Routing
from torchserve_gateway.torchserve_api.errors import TorchServeError
from torchserve_gateway.torchserve_api.inference import InferenceClient, Job, Prediction

logger = logging.getLogger(__name__)


class Shadowing:
    """Sends copies after the real answer has come, so that no client waits for one.

    max_in_flight: copies at a time; more are not sent, but counted as skipped. tolerance: largest difference
    of a probability that counts as the same.
    """

    def __init__(
        self, inference: InferenceClient, routing: Routing, max_in_flight: int, tolerance: float
    ) -> None:
        self._inference = inference
        self._routing = routing
        self._max_in_flight = max_in_flight
        self._tolerance = tolerance
        self._copies: set[asyncio.Task[None]] = set()

    def copy(self, job: Job, deadline_s: float, real: Prediction) -> None:
        """Sends a copy in the background."""
        if len(self._copies) >= self._max_in_flight:
            self._routing.counts_of(job.model, job.version).shadow.skipped += 1
            return
        task = asyncio.create_task(self._compare(job, deadline_s, real))
        self._copies.add(task)
        task.add_done_callback(self._copies.discard)

    async def close(self) -> None:
        """Gives up the copies that are on their way."""
        for task in tuple(self._copies):
            task.cancel()
        await asyncio.gather(*self._copies, return_exceptions=True)

    async def _compare(self, job: Job, deadline_s: float, real: Prediction) -> None:
        comparison = self._routing.counts_of(job.model, job.version).shadow
        try:
            with self._routing.counted(job.model, job.version) as outcome:
                copy = outcome.answered(await self._inference.predict(job, deadline_s))
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
            abs(expected[label] - answer[label]) <= self._tolerance for label in expected
        )


def _probabilities(body: bytes) -> dict[str, float]:
    answer = json.loads(body)
    if not isinstance(answer, dict) or not answer:
        raise ValueError(f"{body[:100]!r} is not {{class: probability}}")
    return {str(label): float(value) for label, value in answer.items()}

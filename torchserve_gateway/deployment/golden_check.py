"""Asks a version that serves nobody yet for answers that are known."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torchserve_gateway.record.errors import DeploymentError
from torchserve_gateway.torchserve_api.inference import InferenceClient, Job

PROBABILITY_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Sample:
    """A known image. top_class: its right answer, None if unknown; probability: of that, None if any."""

    image: Path
    encoded: bytes
    top_class: str | None
    probability: float | None


class GoldenCheck:
    """All samples, read once. tolerance: largest difference of a sample's probability that still passes."""

    def __init__(
        self, samples: Sequence[Sample], labels: Sequence[str], tolerance: float, deadline_s: float
    ) -> None:
        self._samples = samples
        self._labels = labels
        self._tolerance = tolerance
        self._deadline_s = deadline_s

    async def __call__(self, inference: InferenceClient, model: str, version: str) -> None:
        """Predicts every sample on the version's own URL.

        Raises:
            DeploymentError: an answer is not as it must be; the message names the sample.
            TorchServeError: there is no answer.
        """
        for sample in self._samples:
            job = Job(model, version, sample.encoded, "application/octet-stream")
            prediction = await inference.predict(job, self._deadline_s)
            if prediction.error:
                raise prediction.error
            problem = find_problem(prediction.body, self._labels, sample, self._tolerance)
            if problem:
                raise DeploymentError(
                    f"{model} {version} was not deployed: on {sample.image.name} it {problem}"
                )


def find_problem(body: bytes, labels: Sequence[str], sample: Sample, tolerance: float) -> str | None:
    """What is wrong with an answer, as the end of a sentence that begins with "it"; None if nothing is."""
    try:
        answer = json.loads(body)
        probabilities = {str(label): float(value) for label, value in answer.items()}
    except (ValueError, TypeError, AttributeError):
        return f"answers {body[:100]!r}, not {{class: probability}}"
    if set(probabilities) != set(labels):
        differing = sorted(set(probabilities) ^ set(labels))
        return f"answers other classes than configured: {', '.join(differing)}"
    total = math.fsum(probabilities.values())
    if not math.isclose(total, 1, abs_tol=PROBABILITY_SUM_TOLERANCE):
        return f"answers probabilities that add up to {total:.4g}, not 1"
    top = max(probabilities, key=probabilities.__getitem__)
    if sample.top_class and top != sample.top_class:
        return f"answers {top} ({probabilities[top]:.3f}), not {sample.top_class}"
    if sample.probability is not None and abs(probabilities[top] - sample.probability) > tolerance:
        return f"answers {top} with {probabilities[top]:.3f}, not {sample.probability:g} within {tolerance:g}"
    return None

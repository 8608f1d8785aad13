"""Golden check: a new version must give known answers before it gets requests."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torchserve_gateway.record.errors import DeploymentError
from torchserve_gateway.settings.model import ModelSettings
from torchserve_gateway.torchserve_api.inference import InferenceClient, Job

PROBABILITY_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Sample:
    """An image with its known answer."""

    image: Path
    encoded: bytes
    """Content of the image file."""
    top_class: str | None
    """Class with the highest probability; None if unknown."""
    probability: float | None
    """Probability of that class, 0 to 1; None if any is right."""


class GoldenCheck:
    """The samples of a model.

    Args:
        samples: images with known answers.
        labels: all classes that an answer must hold.
        tolerance: largest difference from a sample's probability, 0 to 1.
        deadline_s: time for each answer.
    """

    def __init__(
        self, samples: Sequence[Sample], labels: Sequence[str], tolerance: float, deadline_s: float
    ) -> None:
        self._samples = samples
        self._labels = labels
        self._tolerance = tolerance
        self._deadline_s = deadline_s

    @classmethod
    def of(cls, model: ModelSettings, deadline_s: float) -> "GoldenCheck":
        """Reads the configured samples.

        Raises:
            DeploymentError: an image cannot be read.
        """
        samples = []
        for sample in model.samples:
            try:
                encoded = sample.file.read_bytes()
            except OSError as exc:
                raise DeploymentError(f"the sample image cannot be read: {exc}") from exc
            samples.append(Sample(sample.file, encoded, sample.expected_class, sample.probability))
        return cls(samples, model.labels, model.sample_tolerance, deadline_s)

    async def __call__(self, inference: InferenceClient, model: str, version: str) -> None:
        """Predicts every sample on the version's own URL.

        Raises:
            DeploymentError: an answer is wrong; the message names the sample.
            TorchServeError: TorchServe gives no answer.
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
    """Compares an answer with its sample.

    Returns:
        the end of a sentence that begins with "it"; None if the answer is right.
    """
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

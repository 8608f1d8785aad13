"""Asks a version that serves nobody yet for an answer that is known."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

from torchserve_api.deployment import Check, DeploymentError
from torchserve_api.inference import InferenceClient

PROBABILITY_SUM_TOLERANCE = 1e-3


def golden_check(
    inference: InferenceClient,
    image: Path,
    labels: Sequence[str],
    expected_class: str | None,
    deadline_s: float,
) -> Check:
    """A check that predicts `image` and wants probabilities of exactly `labels`, `expected_class` on top.

    Raises:
        DeploymentError: there is no such image.
    """
    try:
        encoded = image.read_bytes()
    except OSError as exc:
        raise DeploymentError(f"the sample image cannot be read: {exc}") from exc

    async def check(model: str, version: str) -> None:
        prediction = await inference.predict(model, version, encoded, "application/octet-stream", deadline_s)
        problem = find_problem(prediction.body, labels, expected_class)
        if problem:
            raise DeploymentError(f"{model} {version} was not deployed: on {image.name} it {problem}")

    return check


def find_problem(body: bytes, labels: Sequence[str], expected_class: str | None) -> str | None:
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
    if expected_class and top != expected_class:
        return f"answers {top} ({probabilities[top]:.3f}), not {expected_class}"
    return None

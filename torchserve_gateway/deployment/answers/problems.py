"""Judges the answer to a sample."""

import json
import math
from collections.abc import Collection

from torchserve_gateway.deployment.answers.samples import Sample
from torchserve_gateway.deployment.answers.shown import listed, shortened, shown_bytes

PROBABILITY_SUM_TOLERANCE = 1e-3


def find_problem(body: bytes, labels: Collection[str], sample: Sample, tolerance: float) -> str | None:
    """Compares an answer with its sample.

    Args:
        body: the answer.
        labels: classes of the model; empty: not known.
        sample: what is known of the answer.
        tolerance: largest difference of a number.

    Returns:
        the end of a sentence that begins with "it"; None if the answer is right.
    """
    if sample.answer and (difference := sample.answer.difference(body, tolerance)):
        return f"answers {difference}"
    if sample.top_class is None and sample.probability is None:
        return None
    try:
        probabilities = {str(label): float(value) for label, value in json.loads(body).items()}
    except (ValueError, TypeError, AttributeError, RecursionError):
        probabilities = {}
    if not probabilities:
        return f"answers {shown_bytes(body)}, not {{class: probability}}"
    return _class_problem(probabilities, labels) or _top_problem(probabilities, sample, tolerance)


def _class_problem(probabilities: dict[str, float], labels: Collection[str]) -> str | None:
    """A handler may answer the most probable classes alone."""
    others = probabilities.keys() - set(labels)
    if labels and others:
        return f"answers other classes than configured: {listed(sorted(others))}"
    total = math.fsum(probabilities.values())
    if len(probabilities) == len(labels) and not math.isclose(total, 1, abs_tol=PROBABILITY_SUM_TOLERANCE):
        return f"answers probabilities that add up to {total:.4g}, not 1"
    return None


def _top_problem(probabilities: dict[str, float], sample: Sample, tolerance: float) -> str | None:
    top = max(probabilities, key=probabilities.__getitem__)
    found = probabilities[top]
    if sample.top_class is not None and top != sample.top_class:
        return f"answers {shortened(top)} ({found:.3f}), not {shortened(sample.top_class)}"
    wanted = sample.probability
    if wanted is not None and not abs(found - wanted) <= tolerance:
        return f"answers {shortened(top)} with {found:.3f}, not {wanted:g} within {tolerance:g}"
    return None

"""A version that loads but answers wrong is found out."""

import json
from pathlib import Path

import pytest

from torchserve_gateway.deployment.golden_check import Sample, find_problem

LABELS = ["A", "B"]
IMAGE = Path("b.jpg")
SAMPLE = Sample(IMAGE, b"", "B", 0.7)


def test_a_right_answer_has_no_problem() -> None:
    body = json.dumps({"B": 0.7, "A": 0.3}).encode()
    for sample in (SAMPLE, Sample(IMAGE, b"", "B", None), Sample(IMAGE, b"", None, None)):
        assert find_problem(body, LABELS, sample, tolerance=0.01) is None


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"A": 0.7, "B": 0.3}, "answers A (0.700), not B"),
        ({"A": 0.315, "B": 0.685}, "answers B with 0.685, not 0.7 within 0.01"),
        ({"A": 0.285, "B": 0.715}, "answers B with 0.715, not 0.7 within 0.01"),
        ({"B": 1.0}, "other classes than configured: A"),
        ({"A": 0.1, "B": 0.6, "C": 0.3}, "other classes than configured: C"),
        ({"A": 0.3, "B": 0.8}, "add up to 1.1, not 1"),
        ({"A": "x", "B": 0.8}, "not {class: probability}"),
        ([0.3, 0.7], "not {class: probability}"),
    ],
)
def test_a_wrong_answer_is_described(answer: object, said: str) -> None:
    problem = find_problem(json.dumps(answer).encode(), LABELS, SAMPLE, tolerance=0.01)
    assert problem is not None
    assert said in problem


def test_an_answer_that_is_no_json_is_described() -> None:
    assert find_problem(b"<html>", LABELS, SAMPLE, tolerance=0.01) is not None

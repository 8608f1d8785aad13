"""A version that loads but answers wrong is found out."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from tests.composed_settings import gateway_settings
from tests.fake_torchserve import FakeTorchServe
from tests.shown_blocks import assert_same_words, shown_block
from torchserve_gateway.deployment.answers.problems import find_problem
from torchserve_gateway.deployment.answers.samples import KnownAnswer, Sample, read_samples
from torchserve_gateway.deployment.golden_check import GoldenCheck
from torchserve_gateway.record.errors import DeploymentError
from torchserve_gateway.settings.model_parts.samples import SampleSettings
from torchserve_gateway.torchserve_api.connection import TorchServe

LABELS = ["A", "B", "C"]
SAMPLE = Sample("b.jpg", b"", top_class="B", probability=0.7)
LONGEST_LINE = 600


def problem(answer: object, sample: Sample = SAMPLE, labels: Sequence[str] = LABELS) -> str | None:
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    return find_problem(body, labels, sample, tolerance=0.01)


@pytest.mark.parametrize(
    "sample",
    [
        SAMPLE,
        Sample("b.jpg", b"", top_class="B"),
        Sample("b.jpg", b"", probability=0.7),
        Sample("b.jpg", b""),
    ],
)
@pytest.mark.parametrize(
    "answer",
    [{"B": 0.7, "A": 0.2, "C": 0.1}, {"B": 0.7, "C": 0.1}, {"B": 0.7}],
    ids=["all classes", "two", "one"],
)
def test_a_right_answer_has_no_problem(answer: object, sample: Sample) -> None:
    assert problem(answer, sample) is None
    assert problem(answer, sample, labels=[]) is None


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"A": 0.7, "B": 0.2, "C": 0.1}, "answers A (0.700), not B"),
        ({"A": 0.315, "B": 0.685, "C": 0}, "answers B with 0.685, not 0.7 within 0.01"),
        ({"A": 0.285, "B": 0.715, "C": 0}, "answers B with 0.715, not 0.7 within 0.01"),
        ({"A": 0.1, "B": 0.6, "D": 0.3}, "other classes than configured: D"),
        ({"A": 0.3, "B": 0.8, "C": 0}, "add up to 1.1, not 1"),
        ({"B": float("nan")}, "answers B with nan, not 0.7"),
        ({"A": "x", "B": 0.8}, "not {class: probability}"),
        ({}, "not {class: probability}"),
        ([0.3, 0.7], "answers b'[0.3, 0.7]', not {class: probability}"),
        (b"<html>", "not {class: probability}"),
        (b"[" * 100_000, "not {class: probability}"),
    ],
)
def test_a_wrong_answer_is_described(answer: object, said: str) -> None:
    found = problem(answer)
    assert found is not None
    assert said in found


def test_a_thousand_other_classes_are_a_short_line() -> None:
    found = problem({f"class {number} {'x' * number}": 0.001 for number in range(1000)})
    assert found is not None
    assert "and 995 more" in found
    assert len(found) < LONGEST_LINE


@pytest.mark.parametrize(
    ("known", "answer"),
    [
        (b'[{"box": [1, 2.5], "label": "cat"}]', b'[ {"label": "cat", "box": [1.009, 2.491]} ]'),
        (b'{"n": 3, "nan": NaN, "inf": Infinity}', b'{"n": 3.0, "nan": NaN, "inf": Infinity}'),
        (b"[]", b"[]\n"),
        (b"1" + b"0" * 400, b"1" + b"0" * 400 + b" "),
        (b"a cat", b"a cat"),
        (b"\x00\xff", b"\x00\xff"),
    ],
    ids=["numbers", "float and int, NaN", "white space", "beyond floats", "text", "bytes"],
)
def test_an_answer_like_the_known_one_has_no_problem(known: bytes, answer: bytes) -> None:
    assert problem(answer, Sample("in.json", b"", answer=KnownAnswer(known))) is None


@pytest.mark.parametrize(
    ("known", "answer", "said"),
    [
        ({"a": [{"b": 1}]}, {"a": [{"b": 2}]}, "answers 2 at $.a[0].b, not 1 within 0.01"),
        ({"a b": 1}, {"a b": "1"}, 'answers "1" at $["a b"], not 1'),
        ({"a": 1}, {}, "answers nothing at $.a"),
        ({}, {"a": 1}, "answers $.a, which is not expected"),
        ([1, 2], [1, 2, 3], "answers 3 items at $, not 2"),
        ([1], {"a": 1}, 'answers {"a": 1} at $, not [1]'),
        ([True], [1], "answers 1 at $[0], not true"),
        ([float("nan")], [0.5], "answers 0.5 at $[0], not NaN within 0.01"),
        ([None], [False], "answers false at $[0], not null"),
        ([1, 2, 3], [4, 5, 6], "answers 4 at $[0], not 1 within 0.01; 2 more differences"),
        (b"a cat", b"a dog", "answers b'a dog', not b'a cat'"),
        (b"a cat", [1], "answers b'[1]', not b'a cat'"),
        (b"\xff" * 2000, b"\xfe" * 3000, "... of 3000 bytes, not b'"),
        ({"x" * 9000: "y" * 9000}, {"x" * 9000: "z" * 9000}, "zzz ... zzz"),
    ],
)
def test_the_difference_from_a_known_answer_is_one_short_line(
    known: object, answer: object, said: str
) -> None:
    body = known if isinstance(known, bytes) else json.dumps(known).encode()
    found = problem(answer, Sample("in.json", b"", answer=KnownAnswer(body)))
    assert found is not None
    assert said in found
    assert len(found) < LONGEST_LINE


def answering(request: httpx.Request) -> httpx.Response:
    """Version 1.0 counts to 1, version 2.0 to 2; a number in the body is a status that the handler sets."""
    if request.content:
        return httpx.Response(int(request.content), text="no" * 500, headers={"x-request-id": "id"})
    return httpx.Response(200, json=[{"count": int(request.url.path.rsplit("/", 1)[-1][0])}])


async def check(*samples: Sample, serving: str | None = None) -> None:
    torchserve = TorchServe.at(gateway_settings().torchserve, httpx.MockTransport(FakeTorchServe(answering)))
    async with torchserve.http:
        await GoldenCheck(samples, [], 0.01, deadline_s=5)(torchserve.inference, "counter", "2.0", serving)


async def test_a_version_without_samples_is_deployed_and_the_log_says_that_nothing_was_checked(
    caplog: pytest.LogCaptureFixture,
) -> None:
    await check()
    assert "counter 2.0: no answer was checked, model.samples is empty" in caplog.text


async def test_a_sample_without_expectation_is_compared_with_the_serving_version(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    known = Sample("known.json", b"", answer=KnownAnswer(b'[{"count": 2}]'))
    await check(Sample("in.json", b""), known, serving="1.0")
    [said] = caplog.messages
    assert said == (
        "in.json: counter 2.0 answers otherwise than 1.0, which serves: 2 at $[0].count, not 1 within 0.01"
    )


@pytest.mark.parametrize(
    ("sample", "said"),
    [
        (
            Sample("in.json", b"", answer=KnownAnswer(b'[{"count": 3}]')),
            "on in.json it answers 2 at $[0].count",
        ),
        (Sample("bad.json", b"422"), "on bad.json the handler answered 422: no"),
        (Sample("bad.json", b"302"), "on bad.json the handler answered 302, not 2xx"),
    ],
)
async def test_a_wrong_answer_refuses_the_version_and_names_the_sample(sample: Sample, said: str) -> None:
    with pytest.raises(DeploymentError) as refused:
        await check(sample)
    assert str(refused.value).startswith(f"counter 2.0 was not deployed: {said}")
    assert len(str(refused.value)) < LONGEST_LINE


BOXES = [{"score": 0.31, "x": 1}, {"score": 0.5, "x": 2}]
RIGHT = [{"score": 0.87, "x": 3}, {"score": 0.7, "x": 4}]


def two_boxes(request: httpx.Request) -> httpx.Response:
    """Version 1.0 finds a box more."""
    return httpx.Response(200, json=[*BOXES, {}] if request.url.path.endswith("/1.0") else BOXES)


async def check_boxes(sample: Sample) -> None:
    transport = httpx.MockTransport(FakeTorchServe(two_boxes))
    torchserve = TorchServe.at(gateway_settings().torchserve, transport)
    async with torchserve.http:
        await GoldenCheck([sample], [], 0.05, deadline_s=5)(torchserve.inference, "boxes", "2.0", "1.0")


async def test_a_difference_is_said_as_the_page_shows(caplog: pytest.LogCaptureFixture) -> None:
    await check_boxes(Sample("street.json", b""))
    [warned] = caplog.messages
    shown = shown_block("docs/deploying.md", "10:02:11 WARNING street.json")
    assert_same_words(f"10:02:11 WARNING {warned}", shown)
    with pytest.raises(DeploymentError) as refused:
        await check_boxes(Sample("street.json", b"", answer=KnownAnswer(json.dumps(RIGHT).encode())))
    assert_same_words(f"failed: {refused.value}", shown_block("docs/deploying.md", "failed: boxes 2.0"))


def test_samples_are_read_from_the_models_file(tmp_path: Path) -> None:
    (tmp_path / "in.json").write_bytes(b"{}")
    (tmp_path / "answer.bin").write_bytes(b"\xff")
    settings = gateway_settings().model.model_copy(
        update={
            "samples": [
                SampleSettings(input=tmp_path / "in.json", expected={"a": [1]}),
                SampleSettings(input=tmp_path / "in.json", expected="a cat"),
                SampleSettings(image=tmp_path / "in.json", expected_file=tmp_path / "answer.bin"),
                SampleSettings(input=tmp_path / "in.json"),
            ]
        }
    )
    known = [b'{"a": [1]}', b"a cat", b"\xff", None]
    types = ["application/json", "application/json", "application/octet-stream", "application/json"]
    samples = read_samples(settings)
    assert [each.answer.body if each.answer else None for each in samples] == known
    assert [(each.name, each.body, each.content_type) for each in samples] == [
        ("in.json", b"{}", each) for each in types
    ]
    assert [each.has_expectation for each in samples] == [True, True, True, False]

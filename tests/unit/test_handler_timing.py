"""What a handler says of its times is believed only where it can be so."""

import httpx
import pytest

from torchserve_gateway.torchserve_api.handler_timing import batch_size, stages_s


def said(**headers: str) -> httpx.Headers:
    return httpx.Headers({name.replace("_", "-"): value for name, value in headers.items()})


def test_stages_are_seconds_in_the_order_they_ran() -> None:
    headers = said(server_timing="preprocess;dur=4.125, inference;dur=20, postprocess;dur=0.25")
    assert stages_s(headers, 1) == {"preprocess": 0.004125, "inference": 0.02, "postprocess": 0.00025}
    assert list(stages_s(headers, 1)) == ["preprocess", "inference", "postprocess"]


@pytest.mark.parametrize(
    "rubbish",
    [
        "",
        "inference",
        "inference;dur=",
        "inference;dur=-1",
        "inference;dur=nan",
        "inference;dur=inf",
        "inference;dur=1e3",
        "inference;dur=99999999",
        "inference;dur=\u0661",
        "cache;desc=hit",
        "inference;dur=1, db;dur=2",
        "inference;dur=1, inference;dur=2",
        "inference;dur=1,",
        "inference;dur=1" * 10000,
    ],
)
def test_what_is_no_timing_of_ours_says_nothing(rubbish: str) -> None:
    assert stages_s({"server-timing": rubbish}, 1000) == {}


def test_stages_that_took_longer_than_the_request_say_nothing() -> None:
    headers = said(server_timing="preprocess;dur=600, inference;dur=600")
    assert stages_s(headers, 1.3)
    assert stages_s(headers, 1.1) == {}


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("1", 1),
        ("64", 64),
        ("0", None),
        ("-1", None),
        ("08", None),
        ("1.5", None),
        ("\u0663", None),
        ("9" * 6, None),
        ("", None),
    ],
)
def test_a_batch_size_is_a_positive_number_or_unknown(value: str, size: int | None) -> None:
    assert batch_size({"x-batch-size": value}) == size
    assert batch_size({}) is None

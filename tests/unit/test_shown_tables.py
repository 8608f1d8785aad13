"""Tables and lines that the pages show are those that the commands print of the same data."""

from pathlib import Path

import pytest

from tests.shown_blocks import assert_same_words, shown_block
from torchserve_gateway.commands.live.samples import line
from torchserve_gateway.commands.models import print_rows
from torchserve_gateway.record.engine import Engine, Parity
from torchserve_gateway.record.inventory import Row
from ts_serialize.conversion.gate import Comparison, Pair
from ts_serialize.conversion.images import LabelledImage

AS_IT_IS = Engine(engine="torchscript", precision="fp32")
SERVING = Row(
    model="genre",
    version="1.0",
    state="serving",
    default_on=1,
    on=1,
    of=1,
    workers_ready=2,
    workers=2,
    batch_size=8,
    max_batch_delay=20,
    queued=0,
    since="2026-11-21 01:18:45",
    engine=AS_IT_IS,
)


def models(capsys: pytest.CaptureFixture[str], *rows: Row) -> str:
    """`make models` where these versions are deployed."""
    print_rows(rows)
    return capsys.readouterr().out


def test_a_canary(capsys: pytest.CaptureFixture[str]) -> None:
    off_record = {"default_on": 0, "since": None, "engine": None}
    canary = SERVING.model_copy(update={"version": "2.0", "state": "canary 25 %", **off_record})
    page = shown_block("docs/deploying.md", " model  version  state ")
    assert_same_words(models(capsys, SERVING, canary), page)


def test_replicas(capsys: pytest.CaptureFixture[str]) -> None:
    everywhere = SERVING.model_copy(update={"default_on": 3, "on": 3, "of": 3})
    page = shown_block("docs/replicas.md", " model  version  state ")
    assert_same_words(models(capsys, everywhere), page)


def test_an_engine_with_its_parity(capsys: pytest.CaptureFixture[str]) -> None:
    gate = Parity(
        images=13, agreement=1, max_difference=0.0178, labelled=3, accuracy=1, accuracy_of_original=1
    )
    converted = Engine(engine="openvino", precision="int8", gate=gate)
    page = shown_block("docs/engines.md", " model  version  state ")
    assert_same_words(models(capsys, SERVING.model_copy(update={"engine": converted})), page)


def test_the_images_that_an_engine_answers_most_differently() -> None:
    names = ["western-2.jpg", "animation.png", *(f"{number}.jpg" for number in range(11))]
    tops = [("Western", "Western"), ("Animation", "Animation"), *[("Drama", "Drama")] * 11]
    labels = [None, None, *["Drama"] * 3, *[None] * 8]
    pairs = [
        Pair(LabelledImage(Path(name), label), top, (0.9, 0.9), 0.02 - place / 1000)
        for place, (name, top, label) in enumerate(zip(names, tops, labels, strict=True))
    ]
    shown = shown_block("docs/engines.md", "$ make generate_mar VERSION=2.0 ")
    table = "\n".join(shown.splitlines()[1:-2])
    assert_same_words(Comparison(pairs).table("openvino int8"), table)


def test_a_sample_of_the_live_view() -> None:
    versions = {
        "genre 2.0": {"images_per_s": 19.1, "state": "canary 50 %"},
        "genre 1.0": {"images_per_s": 19.2, "state": "serving"},
    }
    sample = {
        "time": 1795665798.0,
        "images_per_s": 38.3,
        "latency_ms": {"p50": 68.0, "p95": 426.0, "p99": 760.0},
        "batch_size": 2.5,
        "versions": versions,
        "waiting": 0,
        "in_flight": 7,
        "errors": {},
        "workers": dict.fromkeys(versions, "1/1"),
        "marks": [],
    }
    assert_same_words(line(sample), shown_block("docs/page.md", "$ make watch | cat"))

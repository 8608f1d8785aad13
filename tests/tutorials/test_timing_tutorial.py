"""Tutorials 4 and 5 of docs/tutorials.md: what more workers bring, and where the time of a batch goes."""

import csv
from pathlib import Path

import pytest

from tests.running_stack import run
from tests.tutorials.conftest import Reader

pytestmark = pytest.mark.long

PARTS = ("preprocess, ms", "inference, ms", "postprocess, ms")


def rows(file: Path) -> list[dict[str, str]]:
    with file.open() as table:
        return list(csv.DictReader(table))


def test_workers_are_compared(reader: Reader) -> None:
    where = f"ARGS=model.batch_size=1 requests=40 report_dir={reader.directory}"
    reader.study("compare_workers", "MODEL=digits", "WORKERS=1,4", where)
    found = rows(reader.directory / "workers-digits.csv")
    assert [row["workers"] for row in found] == ["1", "4"]
    assert all(0 < float(row["queue, ms"]) < float(row["inference, ms"]) for row in found)
    assert "<rect" in (reader.directory / "workers-digits.html").read_text()
    assert (reader.directory / "workers-digits-1.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("model", ["densenet161", "resnet56"])
def test_stages_of_batches_are_timed(reader: Reader, model: str) -> None:
    weights = f"model.weights.path={reader.directory}/{model}-random.pth"
    built = run("-m", f"examples.{model}.build", f"model={model}", weights)
    assert built.returncode == 0, built.stderr
    where = f"ARGS=devices=[cpu] 'batch_sizes=[1,4]' report_dir={reader.directory} {weights}"
    said = reader.study("profile", f"MODEL={model}", "N=4", "DENSENET=", where)
    assert "weights loaded in" in said
    assert "READY after" in said
    found = rows(reader.directory / f"profile-{model}-random.csv")
    assert [(row["batch size"], row["requests"]) for row in found] == [("1", "4"), ("4", "4")]
    assert all(float(row[part]) > 0 for row in found for part in PARTS)


def test_requests_come_at_a_rate(reader: Reader) -> None:
    reader.make("upload_model", "VERSION=5.0")
    assert "imgs/s" in reader.make("run_stress", "ARGS=rate=10 rounds=1 round_s=2 clients=4")

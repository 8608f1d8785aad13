"""`gateway.processes`: as configured, or by cores and workers."""

import os
from pathlib import Path

import pytest

from tests.composed_settings import gateway_settings
from torchserve_gateway.gateway.processes.number import number_of_processes, usable_cores


@pytest.mark.parametrize(
    ("cores", "workers", "processes"),
    [
        *((0.5, "null", 1), (1, "null", 1), (2, "null", 1), (4, "null", 1), (6.5, "null", 2)),
        *((8, "null", 2), (16, "null", 4), (64, "null", 16)),
        *((2, "8", 1), (8, "1", 2), (64, "1", 4), (64, "2", 8)),
    ],
)
def test_by_default_there_are_as_many_as_the_workers_need(cores: float, workers: str, processes: int) -> None:
    settings = gateway_settings("gateway.processes=null", f"model.workers={workers}")
    assert number_of_processes(settings, cores) == processes


def test_a_number_is_taken_as_it_is() -> None:
    assert number_of_processes(gateway_settings("gateway.processes=7"), cores=1) == 7


@pytest.mark.parametrize(
    ("share", "cores"), [("150000 100000", 1.5), ("max 100000", 8), ("800000 100000", 8), ("", 8)]
)
def test_a_containers_share_of_the_cores_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: str, cores: float
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    (tmp_path / "cpu.max").write_text(share)
    assert usable_cores(tmp_path) == cores


def test_without_a_cgroup_all_cores_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert usable_cores(tmp_path / "none") == 8

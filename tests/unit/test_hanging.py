"""Which processes hang, by the time for which their event loop has stood still."""

import pytest

from torchserve_gateway.gateway.processes.hanging import BELIEVED_S, HANGS_AFTER_S, PAUSED_S, Watch


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr("torchserve_gateway.gateway.processes.hanging.monotonic", lambda: now[0])
    return now


def test_a_process_that_stands_still_hangs(clock: list[float]) -> None:
    silent_s = {0: 1.0, 1: HANGS_AFTER_S + 1, 2: HANGS_AFTER_S - 1}
    watch = Watch(silent_s.__getitem__)
    clock[0] += PAUSED_S / 2
    assert watch.hanging([0, 1, 2]) == [1]
    assert watch.hanging([0, 2]) == []


def test_processes_of_a_paused_container_get_time_to_show_that_they_run(clock: list[float]) -> None:
    watch = Watch(lambda _: HANGS_AFTER_S + 100)
    clock[0] += HANGS_AFTER_S + 100
    assert watch.hanging([0]) == []
    clock[0] += BELIEVED_S / 2
    assert watch.hanging([0]) == []
    clock[0] += BELIEVED_S
    assert watch.hanging([0]) == [0]

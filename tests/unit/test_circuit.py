"""TorchServe is left alone while it cannot be reached, and only then."""

from collections.abc import Callable

import pytest

from torchserve_gateway.gateway.errors import UpstreamDownError
from torchserve_gateway.gateway.prediction.circuit import Circuit


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets seconds pass."""
    now = [1000.0]
    monkeypatch.setattr("torchserve_gateway.gateway.prediction.circuit.monotonic", lambda: now[0])

    def pass_by(seconds: float) -> None:
        now[0] += seconds

    return pass_by


def opened(circuit: Circuit) -> bool:
    try:
        circuit.admit()
    except UpstreamDownError:
        return True
    return False


def failing(times: int) -> Circuit:
    circuit = Circuit(failures=3, open_s=1)
    for _ in range(times):
        circuit.failed()
    return circuit


@pytest.mark.usefixtures("wait")
def test_it_opens_after_so_many_failures_in_a_row() -> None:
    assert not opened(failing(2))
    assert opened(failing(3))


@pytest.mark.usefixtures("wait")
def test_an_answer_between_failures_starts_the_row_anew() -> None:
    circuit = failing(2)
    circuit.answered()
    circuit.failed()
    assert not opened(circuit)


def test_failures_minutes_apart_do_not_add_up(wait: Callable[[float], None]) -> None:
    circuit = Circuit(failures=3, open_s=1)
    for _ in range(20):
        circuit.failed()
        wait(60)
        assert not opened(circuit)


def test_while_it_is_open_one_request_at_a_time_tries(wait: Callable[[float], None]) -> None:
    circuit = failing(3)
    for _ in range(3):
        wait(1.5)
        assert [opened(circuit) for _ in range(4)] == [False, True, True, True]
    wait(1.5)
    assert not opened(circuit)
    circuit.failed()
    assert opened(circuit)
    wait(60)
    assert not opened(circuit)
    circuit.failed()
    assert opened(circuit)


@pytest.mark.usefixtures("wait")
def test_one_answer_closes_it() -> None:
    circuit = failing(9)
    circuit.answered()
    assert [opened(circuit) for _ in range(4)] == [False] * 4


@pytest.mark.usefixtures("wait")
def test_every_refusal_is_an_exception_of_its_own() -> None:
    circuit, refusals = failing(3), []
    for _ in range(2):
        with pytest.raises(UpstreamDownError, match="tried again every 1 s") as caught:
            circuit.admit()
        refusals.append(caught.value)
    assert refusals[0] is not refusals[1]

"""The attacks of tests/faults/test_hostile_clients.py before a real TorchServe, with a real model."""

from collections.abc import Iterator

import pytest

from tests.conftest import NewStack
from tools.bench.hostile_clients.arena import ATTACKS, HEADING, IMAGE, Arena, target_of
from tools.bench.hostile_clients.gateway_process import RunningGateway
from tools.bench.hostile_clients.observed_neighbour import neighbour_of

# tests/faults plays the same attacks before a stand-in for TorchServe.
pytestmark = [pytest.mark.long, pytest.mark.begins_first]
# A body of 6 MB takes its time beside a worker.
TIME_OUTS = ("gateway.head_timeout_s=1", "gateway.body_timeout_s=8")
# The stand-in of tests/faults answers every image and every target; a handler does not.
REFUSED_BY_HANDLER = frozenset({400, 413, 422})
# A worker on two cores that attackers, gateway and neighbour share answers so many.
RATE = 10


@pytest.fixture(scope="module")
def arena(new_stack: NewStack) -> Iterator[Arena]:
    """A stack of its own, since others' requests must not be among those that an attack delays."""
    with new_stack("hostile", *TIME_OUTS).running("1.0") as stack:
        log = stack.directory / "var" / "log" / "gateway.log"
        gateway = RunningGateway(stack.settings.gateway.url, stack.pid("gateway"), log)
        target = target_of(gateway)
        with neighbour_of(target, IMAGE, RATE) as neighbour:
            yield Arena(gateway, target, neighbour)


async def test_no_attack_keeps_a_neighbour_from_its_predictions(arena: Arena) -> None:
    print(HEADING)
    wrong = []
    for attack in ATTACKS:
        bout = await arena.bout(attack)
        print(bout.row, flush=True)
        answered = bout.attacked.outcomes.keys() | bout.quiet.outcomes.keys()
        allowed = attack.allowed | REFUSED_BY_HANDLER
        if answered != {"200"} or not bout.outcomes.keys() <= allowed or not arena.gateway.is_ready():
            wrong.append((bout.row, dict(bout.quiet.outcomes)))
    assert wrong == []
    assert arena.gateway.is_alive

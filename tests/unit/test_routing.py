"""Which version answers a request, and which version gets a copy."""

import pytest

from tests.unit.test_deployment_record import VERSION
from torchserve_gateway.gateway.deployed.routing import Routing, position
from torchserve_gateway.record.record import DeployedModel, Record, Trial
from torchserve_gateway.torchserve_api.errors import ModelNotFoundError

KEYS = [f"client-{number}" for number in range(2000)]


def routing(**model: object) -> Routing:
    followed = Routing()
    followed.record = Record(revision=1, models={"genre": DeployedModel(serving=VERSION, **model)})  # type: ignore[arg-type]
    return followed


def canary(share: float) -> Routing:
    return routing(trial=Trial(kind="canary", version="2.0", share=share))


def on_trial(followed: Routing) -> set[str]:
    return {key for key in KEYS if followed.choose("genre", None, key) == "2.0"}


def test_the_version_that_serves_is_addressed_by_name() -> None:
    assert routing().choose("genre", None, "key") == "1.10"


def test_what_is_not_on_record_is_left_to_torchserve() -> None:
    assert routing().choose("other", None, "key") is None
    assert routing().choose("other", "3.0", "key") == "3.0"


def test_a_requested_version_is_not_changed_by_a_trial() -> None:
    assert canary(1.0).choose("genre", "1.10", "key") == "1.10"


def test_a_version_that_is_being_retired_gets_nothing_more() -> None:
    with pytest.raises(ModelNotFoundError, match=r"1\.0 of genre is being retired; 1\.10 serves"):
        routing(retiring=("1.0",)).choose("genre", "1.0", "key")


def test_a_canary_gets_its_share_and_keeps_whom_it_has() -> None:
    before: set[str] = set()
    for share in (0.05, 0.25, 0.5, 1.0):
        now = on_trial(canary(share))
        assert abs(len(now) / len(KEYS) - share) < 0.04
        assert before <= now
        before = now


def test_a_share_of_nothing_is_nobody() -> None:
    assert on_trial(canary(0)) == set()


def test_models_divide_their_clients_each_in_its_own_way() -> None:
    assert position("genre", "key") != position("other", "key")


def test_a_shadow_gets_copies_and_answers_nobody() -> None:
    followed = routing(trial=Trial(kind="shadow", version="2.0", share=0.5))
    assert {followed.choose("genre", None, key) for key in KEYS} == {"1.10"}
    assert {followed.shadow("genre", key) for key in KEYS} == {None, "2.0"}


def test_a_canary_gets_no_copies() -> None:
    assert canary(1.0).shadow("genre", "key") is None

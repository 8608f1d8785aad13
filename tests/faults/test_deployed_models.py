"""make up waits for what is deployed, and says what it waits for."""

import itertools
import json
import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx
import pytest

from tests.composed_settings import gateway_settings
from tests.fake_torchserve import FakeTorchServe, described, error, listening, version
from tests.unit.test_deployment_record import VERSION
from torchserve_gateway.local_stack.deployed_models import ModelNotReadyError, wait_for_models
from torchserve_gateway.record.record import DeployedModel, DeploymentRecord
from torchserve_gateway.terminal import waits

GONE = error(404, "ModelNotFoundException", "Model not found: genre")


def describing(ready: Sequence[int]) -> Callable[[httpx.Request], httpx.Response]:
    """READY workers of two, look by look; the last number stays."""
    numbers = itertools.chain(ready, itertools.repeat(ready[-1]))
    return lambda _: described(version("1.10", ready=next(numbers), workers=2))


def up(
    torchserve: FakeTorchServe, directory: Path, models: Sequence[str] = ("genre",), startup_timeout: int = 60
) -> None:
    """The end of make up where these models are on record."""
    record = DeploymentRecord(directory)
    for name in models:
        serving = VERSION.model_copy(update={"startup_timeout": startup_timeout})
        record.write(name, DeployedModel(serving=serving))
    with listening(torchserve) as url:
        overrides = f"torchserve.management_url={url}", f"torchserve.deployments_dir={directory}"
        wait_for_models(gateway_settings(*overrides, "torchserve.log_dir=null").torchserve)


def test_up_waits_until_all_workers_are_ready(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    up(FakeTorchServe(describing([0, 1, 2])), tmp_path)
    assert [each for each in caplog.messages if "genre" in each] == [
        "waiting for genre 1.10: 0 of its 2 workers are READY, startup_timeout is 60 s",
        "genre 1.10 is READY",
    ]


def test_what_is_ready_is_not_waited_for_and_an_empty_record_asks_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    torchserve = FakeTorchServe(describing([2]))
    up(torchserve, tmp_path, models=())
    assert torchserve.requests == []
    up(torchserve, tmp_path)
    assert len(torchserve.requests) == 1
    assert "genre" not in caplog.text


@pytest.mark.slow
def test_every_version_that_does_not_load_is_told_after_its_startup_timeout(tmp_path: Path) -> None:
    with pytest.raises(ModelNotReadyError) as told:
        up(FakeTorchServe(describing([1])), tmp_path, models=("genre", "pets"), startup_timeout=1)
    assert str(told.value) == (
        "genre 1.10 is not READY: 1 of its 2 workers were READY after 1 s; "
        "pets 1.10 is not READY: 1 of its 2 workers were READY after 1 s"
    )


def test_a_version_whose_archive_is_gone_is_told_and_keeps_nothing_from_starting(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    up(FakeTorchServe(GONE), tmp_path)
    [told] = [each for each in caplog.messages if "genre" in each]
    assert "make upload_model MODEL=genre VERSION=1.10 brings it back" in told


def test_a_torchserve_that_answers_wrong_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelNotReadyError, match=r"genre 1\.10 is not READY: not an answer"):
        up(FakeTorchServe(httpx.Response(200, content=json.dumps({}).encode())), tmp_path)


def test_a_long_wait_for_workers_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(waits, "SAID_AFTER_S", 0)
    up(FakeTorchServe(describing([0, 1, 2])), tmp_path)
    [said, *_] = [each for each in caplog.messages if each.endswith(" of 60 s)")]
    assert re.fullmatch(r"waiting for genre 1\.10(: \d of 2 workers READY)? \(\d of 60 s\)", said)

"""Stage VersionChoice: further in, every job names its version."""

from dataclasses import replace

import pytest

from tests.unit.stages import JOB, NextStage, context, routing
from torchserve_gateway.gateway.deployed.routing import Routing
from torchserve_gateway.gateway.prediction.stages import VersionChoice
from torchserve_gateway.record.record import Trial
from torchserve_gateway.torchserve_api.errors import ModelNotFoundError, UnreachableError
from torchserve_gateway.torchserve_api.inference import Job

UNNAMED = replace(JOB, version=None)


async def sent(followed: Routing, job: Job) -> Job:
    later = NextStage()
    await VersionChoice(followed, later).predict(job, context(requested=job.version))
    [passed] = later.jobs
    return passed


async def test_the_serving_version_is_named() -> None:
    assert await sent(routing(), UNNAMED) == JOB


async def test_a_canary_takes_its_share() -> None:
    canary = routing(trial=Trial(kind="canary", version="2.0", share=1.0))
    assert (await sent(canary, UNNAMED)).version == "2.0"


@pytest.mark.parametrize("version", [None, "3.0"])
async def test_a_model_that_is_not_on_record_is_left_to_torchserve(version: str | None) -> None:
    job = replace(JOB, model="other", version=version)
    assert await sent(routing(), job) == job


async def test_a_failure_is_that_of_the_chosen_version() -> None:
    asked = context()
    with pytest.raises(UnreachableError):
        await VersionChoice(routing(), NextStage(UnreachableError("gone"))).predict(UNNAMED, asked)
    assert asked.version == "1.10"


async def test_a_version_that_is_being_retired_is_not_asked() -> None:
    later = NextStage()
    stage = VersionChoice(routing(retiring=("1.0",)), later)
    with pytest.raises(ModelNotFoundError, match="is being retired"):
        await stage.predict(replace(JOB, version="1.0"), context(requested="1.0"))
    assert later.jobs == []

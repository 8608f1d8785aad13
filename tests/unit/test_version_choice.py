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


@pytest.mark.parametrize(
    ("model", "requested", "said"),
    [
        ("pets", None, "not there; deployed: genre 1.10; make upload_model MODEL=pets deploys it"),
        ("genre", "9.9", "not there; 1.10 serves"),
        (
            "genre",
            None,
            "not there; 1.10 is on record; make upload_model MODEL=genre VERSION=1.10 brings it back",
        ),
    ],
    ids=["model", "version", "on record alone"],
)
async def test_what_is_not_there_is_told_with_what_is_deployed_and_the_command_that_helps(
    model: str, requested: str | None, said: str
) -> None:
    job = replace(JOB, model=model, version=requested)
    later = NextStage(ModelNotFoundError(404, "ModelNotFoundException", "not there"))
    for explains, expected in ((True, said), (False, "not there")):
        with pytest.raises(ModelNotFoundError) as told:
            await VersionChoice(routing(), later, explains=explains).predict(
                job, context(requested=requested)
            )
        assert str(told.value) == expected
        assert told.value.type == "ModelNotFoundException"

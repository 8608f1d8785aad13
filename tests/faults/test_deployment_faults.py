"""Faults of a swap that real TorchServe does not show on demand. The rest is in system/test_deployment.py."""

from pathlib import Path

import httpx
import pytest

from configuration import load
from deployment.errors import DeploymentError
from deployment.golden_check import GoldenCheck
from deployment.plan import Deployment
from deployment.record import DeploymentRecord
from deployment.settings import BlueGreen
from deployment.swap import Swap
from project_settings import ProjectSettings
from tests.fake_torchserve import FakeTorchServe, described, error, version
from tests.unit.test_deployment_record import VERSION
from torchserve_api.connection import TorchServe

WANTED = VERSION.model_copy(update={"version": "2.0", "source": "genre-2.0.mar", "archive": "genre-2.0.mar"})


async def swap(torchserve: FakeTorchServe, directory: Path, ready_timeout_s: float = 5) -> str:
    archive = directory / WANTED.archive
    archive.write_bytes(b"archive")
    connection = TorchServe.at(load("gateway", ProjectSettings).torchserve, httpx.MockTransport(torchserve))
    deployment = Deployment(
        model="genre",
        wanted=WANTED,
        url=WANTED.archive,
        archive=archive,
        model_store=directory / "store",
        strategy=BlueGreen(kind="blue_green"),
        check=GoldenCheck([], [], tolerance=0, deadline_s=1),
        ready_timeout_s=ready_timeout_s,
        drain_timeout_s=1,
        unreported_s=0,
        keep_previous=1,
    )
    record = DeploymentRecord(directory / "deployments")
    async with connection.client:
        with record.lock():
            return await Swap(deployment, [connection], record).run()


def serving(directory: Path) -> str | None:
    model = DeploymentRecord(directory / "deployments").read().models.get("genre")
    return model.serving.version if model else None


class TorchServeWithVersions:
    """Keeps versions like TorchServe; `ready` of the workers of a new one become READY, if any."""

    def __init__(self, ready: int, fails_on: tuple[str, str] | None = None) -> None:
        self.versions = ["1.0"]
        self.ready = ready
        self.fails_on = fails_on
        self.pids = iter(range(100, 200))

    def __call__(self, request: httpx.Request) -> httpx.Response:
        method, path = request.method, request.url.path
        if self.fails_on and (method, path) == self.fails_on:
            return error(500, "InternalServerException", "no")
        if method == "POST":
            self.versions.append("2.0")
            return httpx.Response(202, json={"status": "Processing worker updates..."})
        if method == "DELETE":
            self.versions.remove(path.rsplit("/", 1)[-1])
        if method in ("DELETE", "PUT"):
            return httpx.Response(200, json={"status": "done"})
        if path.endswith("/all"):
            return described(*(version(each, ready=2, workers=2) for each in self.versions))
        if path.endswith("/2.0"):
            entry = version("2.0", ready=self.ready, workers=2)
            for worker in entry["workers"]:  # type: ignore[attr-defined]
                worker["pid"] = next(self.pids)
            return described(entry)
        return described(version("1.0", ready=2, workers=2))


async def test_workers_that_keep_dying_end_the_deploy_long_before_the_time_out(tmp_path: Path) -> None:
    torchserve = TorchServeWithVersions(ready=1)
    with pytest.raises(DeploymentError, match="die while they load"):
        await swap(FakeTorchServe(torchserve), tmp_path, ready_timeout_s=3600)
    assert torchserve.versions == ["1.0"]
    assert not (tmp_path / "store" / WANTED.archive).exists()


async def test_workers_that_never_become_ready_end_the_deploy_with_the_time_out(tmp_path: Path) -> None:
    torchserve = TorchServeWithVersions(ready=0)
    with pytest.raises(DeploymentError, match=r"0 of its 1 workers were READY after 0\.1 s"):
        await swap(FakeTorchServe(torchserve), tmp_path, ready_timeout_s=0.1)
    assert torchserve.versions == ["1.0"]


async def test_a_refused_default_leaves_the_old_version_on_record(tmp_path: Path) -> None:
    torchserve = TorchServeWithVersions(ready=2, fails_on=("PUT", "/models/genre/2.0/set-default"))
    with pytest.raises(DeploymentError, match="was not deployed"):
        await swap(FakeTorchServe(torchserve), tmp_path)
    assert torchserve.versions == ["1.0"]
    assert serving(tmp_path) is None


async def test_a_version_that_cannot_be_retired_is_said_and_the_new_one_is_on_record(tmp_path: Path) -> None:
    torchserve = TorchServeWithVersions(ready=2, fails_on=("DELETE", "/models/genre/1.0"))
    with pytest.raises(DeploymentError, match=r"2\.0 serves, but retiring the others failed"):
        await swap(FakeTorchServe(torchserve), tmp_path)
    assert serving(tmp_path) == "2.0"


@pytest.mark.parametrize(
    "answer", [httpx.ConnectError("refused"), httpx.Response(200, content=b"garbage"), error(405, "M", "no")]
)
async def test_a_torchserve_that_does_not_answer_right_ends_the_deploy(
    tmp_path: Path, answer: httpx.Response | Exception
) -> None:
    with pytest.raises(DeploymentError, match=r"genre 2\.0 was not deployed"):
        await swap(FakeTorchServe(answer), tmp_path)

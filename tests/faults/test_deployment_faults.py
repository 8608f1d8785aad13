"""Faults of a swap that real TorchServe does not show on demand. The rest is in system/test_deployment.py."""

from pathlib import Path

import httpx
import pytest

from configuration import load
from project_settings import ProjectSettings
from tests.fake_torchserve import FakeTorchServe, described, error, version
from torchserve_api.connection import TorchServe
from torchserve_api.deployed import DeployedModel, read_deployed
from torchserve_api.deployment import Deployment, DeploymentError, swap_version

WANTED = DeployedModel(
    version="2.0",
    archive="genre-2.0.mar",
    batch_size=8,
    max_batch_delay=20,
    initial_workers=2,
    response_timeout=30,
    startup_timeout=120,
)


async def swap(torchserve: FakeTorchServe, store: Path, ready_timeout_s: float = 5) -> None:
    settings = load("gateway", ProjectSettings).torchserve
    archive = store.parent / WANTED.archive
    archive.write_bytes(b"archive")
    connection = TorchServe.at(settings, httpx.MockTransport(torchserve))
    async with connection.client:
        deployment = Deployment("genre", WANTED.archive, archive, WANTED, store, ready_timeout_s, 1)
        await swap_version(connection.management, deployment, check)


async def check(model: str, version: str) -> None:
    assert (model, version) == ("genre", "2.0")


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
        await swap(FakeTorchServe(torchserve), tmp_path / "store", ready_timeout_s=3600)
    assert torchserve.versions == ["1.0"]
    assert not (tmp_path / "store" / WANTED.archive).exists()


async def test_workers_that_never_become_ready_end_the_deploy_with_the_time_out(tmp_path: Path) -> None:
    torchserve = TorchServeWithVersions(ready=0)
    with pytest.raises(DeploymentError, match=r"not READY within 0\.1 s"):
        await swap(FakeTorchServe(torchserve), tmp_path / "store", ready_timeout_s=0.1)
    assert torchserve.versions == ["1.0"]


async def test_a_refused_default_leaves_the_old_version_on_record(tmp_path: Path) -> None:
    torchserve = TorchServeWithVersions(ready=2, fails_on=("PUT", "/models/genre/2.0/set-default"))
    with pytest.raises(DeploymentError, match="was not deployed"):
        await swap(FakeTorchServe(torchserve), tmp_path / "store")
    assert torchserve.versions == ["1.0"]
    assert read_deployed(tmp_path / "store") == {}


async def test_a_version_that_cannot_be_retired_is_said_and_the_new_one_is_on_record(tmp_path: Path) -> None:
    torchserve = TorchServeWithVersions(ready=2, fails_on=("DELETE", "/models/genre/1.0"))
    with pytest.raises(DeploymentError, match=r"2\.0 serves, but retiring 1\.0 failed"):
        await swap(FakeTorchServe(torchserve), tmp_path / "store")
    assert read_deployed(tmp_path / "store")["genre"].version == "2.0"


@pytest.mark.parametrize(
    "answer", [httpx.ConnectError("refused"), httpx.Response(200, content=b"garbage"), error(405, "M", "no")]
)
async def test_a_torchserve_that_does_not_answer_right_ends_the_deploy(
    tmp_path: Path, answer: httpx.Response | Exception
) -> None:
    with pytest.raises(DeploymentError, match=r"genre 2\.0 was not deployed"):
        await swap(FakeTorchServe(answer), tmp_path / "store")

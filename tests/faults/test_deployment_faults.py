"""Faults of a swap that real TorchServe does not show on demand. The rest is in system/test_deployment.py."""

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from tests.composed_settings import gateway_settings
from tests.fake_torchserve import FakeTorchServe, described, error, version
from tests.shown_blocks import assert_same_words, quoted_text
from tests.unit.test_deployment_record import VERSION
from torchserve_gateway.deployment.golden_check import GoldenCheck
from torchserve_gateway.deployment.plan import Deployment
from torchserve_gateway.deployment.swap import Swap
from torchserve_gateway.record.begun import Begun, BegunDeploys
from torchserve_gateway.record.errors import DeploymentError
from torchserve_gateway.record.record import DeployedModel, DeploymentRecord
from torchserve_gateway.settings.deployment import BlueGreen
from torchserve_gateway.torchserve_api.connection import TorchServe

WANTED = VERSION.model_copy(
    update={
        "version": "2.0",
        "source": "genre-2.0.mar",
        "archive": "genre-2.0.mar",
        "sha256": hashlib.sha256(b"archive").hexdigest(),
    }
)


@pytest.fixture(autouse=True)
def no_gateways(monkeypatch: pytest.MonkeyPatch) -> None:
    """A deploy waits this long for gateways to report; here are none."""
    monkeypatch.setattr("torchserve_gateway.record.reports.GONE_AFTER_S", 0.1)


async def swap(
    torchserve: FakeTorchServe,
    directory: Path,
    ready_timeout_s: float = 5,
    url: str | None = None,
    *,
    others: Sequence[FakeTorchServe] = (),
    deadline_s: float = 0,
) -> str:
    """Deploys WANTED; url: of a TorchServe with another disk; others: more replicas."""
    archive = directory / WANTED.archive
    archive.write_bytes(b"archive")
    replicas = [connected(each, f"127.0.0.{host}") for host, each in enumerate((torchserve, *others), 1)]
    deployment = Deployment(
        model="genre",
        wanted=WANTED,
        url=url or WANTED.archive,
        archive=None if url else archive,
        model_store=None if url else directory / "store",
        strategy=BlueGreen(kind="blue_green"),
        check=GoldenCheck([], [], tolerance=0, deadline_s=1),
        ready_timeout_s=ready_timeout_s,
        drain_timeout_s=1,
        settle_s=0.1,
        deadline_s=deadline_s,
        keep_previous=1,
    )
    record = DeploymentRecord(directory / "deployments")
    async with AsyncExitStack() as stack:
        for replica in replicas:
            await stack.enter_async_context(replica.http)
        with record.lock():
            return await Swap(deployment, replicas, record).run()


def connected(torchserve: FakeTorchServe, host: str) -> TorchServe:
    settings = gateway_settings(f"torchserve.management_url=http://{host}:8081").torchserve
    return TorchServe.at(settings, httpx.MockTransport(torchserve))


def serving(directory: Path) -> str | None:
    model = DeploymentRecord(directory / "deployments").read().models.get("genre")
    return model.serving.version if model else None


class TorchServeWithVersions:
    """Keeps versions like TorchServe; `ready` of the workers of a new one become READY, if any.

    archive_exists: the model store has the file that it is asked to download; versions: registered before.
    """

    def __init__(
        self,
        ready: int,
        fails_on: tuple[str, str] | None = None,
        *,
        archive_exists: bool = False,
        versions: Sequence[str] = ("1.0",),
        response_timeout: int = 30,
    ) -> None:
        self.versions = list(versions)
        self.response_timeout = response_timeout
        self.ready = ready
        self.fails_on = fails_on
        self.archive_exists = archive_exists
        self.pids = iter(range(100, 200))
        self.asked_to_load: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        method, path = request.method, request.url.path
        if self.fails_on and (method, path) == self.fails_on:
            return error(500, "InternalServerException", "no")
        if method == "POST":
            return self._register(json.loads(request.content)["url"])
        if method == "DELETE":
            self.versions.remove(path.rsplit("/", 1)[-1])
        if method in ("DELETE", "PUT"):
            return httpx.Response(200, json={"status": "done"})
        if path.endswith("/all"):
            return described(*(version(each, ready=2, workers=2) for each in self.versions))
        if path.endswith("/2.0"):
            entry = version("2.0", ready=self.ready, workers=2) | {"responseTimeout": self.response_timeout}
            for worker in entry["workers"]:  # type: ignore[attr-defined]
                worker["pid"] = next(self.pids)
            return described(entry)
        return described(version("1.0", ready=2, workers=2))

    def _register(self, url: str) -> httpx.Response:
        self.asked_to_load.append(url)
        if self.archive_exists and "://" in url:
            return error(500, "InternalServerException", f"Model file already exists {WANTED.archive}")
        if "2.0" in self.versions:
            return error(409, "ConflictStatusException", "Model version 2.0 is already registered")
        self.versions.append("2.0")
        return httpx.Response(202, json={"status": "Processing worker updates..."})


@pytest.mark.slow
async def test_workers_that_keep_dying_end_the_deploy_long_before_the_time_out(tmp_path: Path) -> None:
    torchserve = TorchServeWithVersions(ready=1)
    with pytest.raises(DeploymentError, match=r"die while they load the model; the reason is in .*model_log"):
        await swap(FakeTorchServe(torchserve), tmp_path, ready_timeout_s=3600)
    assert torchserve.versions == ["1.0"]
    assert not (tmp_path / "store" / WANTED.archive).exists()


async def test_workers_that_never_become_ready_end_the_deploy_with_the_time_out(tmp_path: Path) -> None:
    torchserve = TorchServeWithVersions(ready=0)
    said = quoted_text("docs/deploying.md", "0 of its 2 workers were READY after ")
    with pytest.raises(DeploymentError, match=rf"{said}0\.1 s"):
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


PRESIGNED = "https://models.example/genre-2.0.mar?X-Amz-Signature=sec%2Bret%3D&X-Amz-Expires=60"


async def test_a_presigned_url_reaches_torchserve_whole_and_where_it_is_not_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    torchserve = TorchServeWithVersions(ready=2)
    fake = FakeTorchServe(torchserve)
    await swap(fake, tmp_path, url=PRESIGNED)
    assert torchserve.asked_to_load == [PRESIGNED]
    # TorchServe logs the URLs of the calls that it gets.
    assert not any("Signature" in str(request.url) for request in fake.requests)
    assert "from https://models.example/genre-2.0.mar:" in caplog.text
    assert "Signature" not in caplog.text


async def test_what_torchserve_says_of_a_presigned_url_is_shown_without_its_query(tmp_path: Path) -> None:
    refusal = error(404, "ModelNotFoundException", f"Given URL {PRESIGNED} does not match any allowed URL(s)")
    with pytest.raises(DeploymentError) as caught:
        await swap(FakeTorchServe(refuses_to_register(refusal)), tmp_path, url=PRESIGNED)
    said = "Given URL https://models.example/genre-2.0.mar does not match any allowed URL(s)"
    assert str(caught.value) == f"genre 2.0 was not deployed: 127.0.0.1:8081: {said}"
    shown = "genre 2.0 was not deployed: 127.0.0.1:8081: Given URL ... does not match any allowed URL(s)"
    assert_same_words(str(caught.value), quoted_text("docs/archives.md", shown))


def refuses_to_register(refusal: httpx.Response) -> Callable[[httpx.Request], httpx.Response]:
    torchserve = TorchServeWithVersions(ready=2)
    return lambda request: refusal if request.method == "POST" else torchserve(request)


async def test_an_archive_that_torchserve_has_from_nobody_knows_where_is_not_run(tmp_path: Path) -> None:
    torchserve = TorchServeWithVersions(ready=2, archive_exists=True)
    with pytest.raises(DeploymentError, match=r"model store holds another genre-2\.0\.mar"):
        await swap(FakeTorchServe(torchserve), tmp_path, url=PRESIGNED)
    assert torchserve.asked_to_load == [PRESIGNED]
    assert torchserve.versions == ["1.0"]


@pytest.mark.parametrize(("sha256", "deploys"), [(WANTED.sha256, True), ("0" * 64, False)])
async def test_an_archive_that_torchserve_has_from_an_earlier_deploy_is_taken(
    tmp_path: Path, sha256: str, deploys: bool
) -> None:
    record = DeploymentRecord(tmp_path / "deployments")
    with record.lock():
        kept = WANTED.model_copy(update={"sha256": sha256})
        record.write("genre", DeployedModel(serving=VERSION, previous=(kept,)))
    torchserve = TorchServeWithVersions(ready=2, archive_exists=True)
    if not deploys:
        with pytest.raises(DeploymentError, match="holds another"):
            await swap(FakeTorchServe(torchserve), tmp_path, url=PRESIGNED)
        return
    await swap(FakeTorchServe(torchserve), tmp_path, url=PRESIGNED)
    assert torchserve.asked_to_load == [PRESIGNED, WANTED.archive]
    assert serving(tmp_path) == "2.0"


async def test_an_archive_that_another_model_is_served_from_stays(tmp_path: Path) -> None:
    record = DeploymentRecord(tmp_path / "deployments")
    with record.lock():
        record.write("other", DeployedModel(serving=WANTED))
    with pytest.raises(DeploymentError):
        await swap(FakeTorchServe(TorchServeWithVersions(ready=0)), tmp_path, ready_timeout_s=0.1)
    assert (tmp_path / "store" / WANTED.archive).exists()


def changes(torchserve: FakeTorchServe) -> list[str]:
    """The calls that change something, in order."""
    return [
        f"{request.method} {request.url.path}" for request in torchserve.requests if request.method != "GET"
    ]


def begun(directory: Path) -> Begun | None:
    return BegunDeploys(directory / "deployments").read("genre")


def note(directory: Path, **left: object) -> None:
    """As a deploy of WANTED that was killed leaves it."""
    record = DeploymentRecord(directory / "deployments")
    with record.lock():
        note = Begun(version="2.0", archive=WANTED.archive, replicas=("127.0.0.1:8081",))
        BegunDeploys(record.directory).write("genre", note.model_copy(update=left))


def stored(directory: Path) -> Path:
    archive = directory / "store" / WANTED.archive
    archive.parent.mkdir()
    archive.write_bytes(b"archive")
    return archive


async def test_a_version_that_others_registered_is_not_touched_nor_its_archive(tmp_path: Path) -> None:
    archive = stored(tmp_path)
    fake = FakeTorchServe(TorchServeWithVersions(ready=0, versions=["1.0", "2.0"]))
    with pytest.raises(DeploymentError) as caught:
        await swap(fake, tmp_path, ready_timeout_s=0.1)
    for said in (
        "nothing was changed: 127.0.0.1:8081 has genre 2.0 already, from genre-2.0.mar",
        "with 2 workers READY",
        'make manage ARGS="unregister genre 2.0"',
    ):
        assert said in str(caught.value)
    assert changes(fake) == []
    assert archive.exists()


async def test_a_version_that_others_registered_on_one_of_two_replicas_keeps_both_untouched(
    tmp_path: Path,
) -> None:
    first = FakeTorchServe(TorchServeWithVersions(ready=2))
    second = FakeTorchServe(TorchServeWithVersions(ready=2, versions=["2.0"]))
    with pytest.raises(DeploymentError, match=r"127\.0\.0\.2:8081 has genre 2\.0 already"):
        await swap(first, tmp_path, others=[second])
    assert changes(first) == changes(second) == []


async def test_a_version_that_somebody_registers_meanwhile_is_not_removed(tmp_path: Path) -> None:
    first, second = TorchServeWithVersions(ready=2), TorchServeWithVersions(ready=2)

    def registered_by_another(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            second.versions.append("2.0")
        return second(request)

    with pytest.raises(DeploymentError, match=r"127\.0\.0\.2:8081: Model version 2\.0 is already registered"):
        await swap(FakeTorchServe(first), tmp_path, others=[FakeTorchServe(registered_by_another)])
    assert first.versions == ["1.0"]
    assert second.versions == ["1.0", "2.0"]
    assert begun(tmp_path) is None


async def test_an_archive_that_the_model_store_held_before_stays(tmp_path: Path) -> None:
    archive = stored(tmp_path)
    torchserve = TorchServeWithVersions(ready=0)
    with pytest.raises(DeploymentError):
        await swap(FakeTorchServe(torchserve), tmp_path, ready_timeout_s=0.1)
    assert torchserve.versions == ["1.0"]
    assert archive.exists()


async def test_an_archive_of_a_version_that_others_registered_outlives_the_version(tmp_path: Path) -> None:
    others = stored(tmp_path).with_name("genre-1.0.mar")
    others.write_bytes(b"of others")
    torchserve = TorchServeWithVersions(ready=2)
    await swap(FakeTorchServe(torchserve), tmp_path)
    assert torchserve.versions == ["2.0"]
    assert others.exists()


async def test_what_a_killed_deploy_left_is_taken_away_before_the_next(tmp_path: Path) -> None:
    stored(tmp_path)
    note(tmp_path)
    fake = FakeTorchServe(TorchServeWithVersions(ready=2, versions=["1.0", "2.0"]))
    await swap(fake, tmp_path)
    assert changes(fake)[:2] == ["DELETE /models/genre/2.0", "POST /models"]
    assert serving(tmp_path) == "2.0"
    assert begun(tmp_path) is None


async def test_what_a_killed_deploy_left_on_one_replica_says_nothing_of_another(tmp_path: Path) -> None:
    note(tmp_path)
    first = TorchServeWithVersions(ready=2, versions=["1.0", "2.0"])
    second = TorchServeWithVersions(ready=2, versions=["1.0", "2.0"])
    with pytest.raises(DeploymentError, match=r"127\.0\.0\.2:8081 has genre 2\.0 already"):
        await swap(FakeTorchServe(first), tmp_path, others=[FakeTorchServe(second)])
    assert first.versions == ["1.0"]
    assert second.versions == ["1.0", "2.0"]


async def test_a_deploy_killed_after_its_version_was_on_record_took_effect(tmp_path: Path) -> None:
    note(tmp_path)
    record = DeploymentRecord(tmp_path / "deployments")
    with record.lock():
        record.write("genre", DeployedModel(serving=WANTED))
    fake = FakeTorchServe(TorchServeWithVersions(ready=2, versions=["2.0"]))
    await swap(fake, tmp_path)
    assert changes(fake) == ["PUT /models/genre/2.0/set-default"]
    assert begun(tmp_path) is None


async def test_a_replica_on_which_a_deploy_was_killed_over_the_serving_version_gets_it_anew(
    tmp_path: Path,
) -> None:
    note(tmp_path, served=True, archive=None)
    record = DeploymentRecord(tmp_path / "deployments")
    with record.lock():
        record.write("genre", DeployedModel(serving=WANTED))
    fake = FakeTorchServe(TorchServeWithVersions(ready=2, versions=["1.0", "2.0"]))
    await swap(fake, tmp_path)
    assert changes(fake)[:2] == ["DELETE /models/genre/2.0", "POST /models"]


@pytest.mark.slow
async def test_what_could_not_be_undone_the_next_deploy_takes_away(tmp_path: Path) -> None:
    torchserve = TorchServeWithVersions(ready=0, fails_on=("DELETE", "/models/genre/2.0"))
    with pytest.raises(DeploymentError):
        await swap(FakeTorchServe(torchserve), tmp_path, ready_timeout_s=0.1)
    assert torchserve.versions == ["1.0", "2.0"]
    with pytest.raises(DeploymentError, match=r"genre 2\.0 of an earlier deploy cannot be removed"):
        await swap(FakeTorchServe(torchserve), tmp_path)
    torchserve.fails_on, torchserve.ready = None, 2
    await swap(FakeTorchServe(torchserve), tmp_path)
    assert torchserve.versions == ["2.0"]
    assert serving(tmp_path) == "2.0"


async def test_what_torchserve_runs_is_recorded_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await swap(FakeTorchServe(TorchServeWithVersions(ready=2, response_timeout=25)), tmp_path)
    record = DeploymentRecord(tmp_path / "deployments").read()
    assert record.models["genre"].serving.response_timeout == 25
    assert "genre 2.0 runs otherwise: response_timeout is 25, not 30" in caplog.text


async def test_a_response_timeout_below_the_gateways_deadline_ends_the_deploy(tmp_path: Path) -> None:
    torchserve = TorchServeWithVersions(ready=2, response_timeout=25)
    with pytest.raises(DeploymentError, match=r"response_timeout = 25 s, .* gateway\.deadline_s = 26"):
        await swap(FakeTorchServe(torchserve), tmp_path, deadline_s=26)
    assert torchserve.versions == ["1.0"]


async def test_a_damaged_note_of_what_was_begun_is_said(tmp_path: Path) -> None:
    (tmp_path / "deployments").mkdir()
    (tmp_path / "deployments" / "begun.json").write_text("{")
    fake = FakeTorchServe(TorchServeWithVersions(ready=2))
    with pytest.raises(DeploymentError, match=r"begun\.json cannot be used"):
        await swap(fake, tmp_path)
    assert changes(fake) == []

"""Archives over the network, to a TorchServe that shares our disk and to one that downloads itself."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.archive_server import ArchiveServer, archive_server, digest
from tests.conftest import NewStack
from tests.http_client import HTTP
from tests.object_store import object_store, put
from tests.processes import until_gone
from tests.running_stack import RunningStack
from tests.system.test_recovery import until_answered

pytestmark = pytest.mark.begins_first

OWN_DISK = "torchserve.model_store=null"


@dataclass(frozen=True)
class Network:
    """A stack, and where it may take archives from."""

    stack: RunningStack
    server: ArchiveServer

    def archive(self, version: str, code: str = "") -> bytes:
        """The built one as another version; code: what its handler does when it is imported."""
        handler = self.stack.settings.model.handler
        content = handler.read_bytes() + f"\n{code}\n".encode()
        return self.stack.archive(version, files={handler.name: content})

    def publish(self, version: str, content: bytes | None = None) -> str:
        """The URL of an archive of this version."""
        return self.server.publish(f"/allowed/genre-{version}.mar", content or self.archive(version))

    def upload(self, version: str, url: str, *extra: str) -> subprocess.CompletedProcess[str]:
        with leaves_no_download():
            return self.stack.upload_model(version, f"archive_source.url={url}", *extra)

    def rollback(self, *extra: str) -> subprocess.CompletedProcess[str]:
        with leaves_no_download():
            return self.stack.rollback(*extra)

    def deploy(self, version: str, url: str, *extra: str) -> str:
        """Returns what the command logged."""
        result = self.upload(version, url, *extra)
        assert result.returncode == 0, result.stderr
        assert self.stack.versions() == [version]
        return result.stderr

    def model_url(self) -> str:
        """What TorchServe loaded."""
        described = HTTP.get(f"{self.stack.settings.torchserve.management_url}/models/genre").json()
        return str(described[0]["modelUrl"])

    def store(self) -> dict[str, str]:
        """What lies in TorchServe's model store, hidden files included."""
        files = (self.stack.directory / "model_store").iterdir()
        return {file.name: digest(file.read_bytes()) for file in files}

    def logs(self) -> str:
        """All that TorchServe and the gateway wrote."""
        return "".join(file.read_text() for file in (self.stack.directory / "var" / "log").iterdir())

    def record(self) -> str:
        return (self.stack.directory / "deployments" / "deployed.json").read_text()

    def serving(self) -> str:
        return str(json.loads(self.record())["models"]["genre"]["serving"]["version"])


@pytest.fixture(scope="module")
def network(new_stack: NewStack) -> Iterator[Network]:
    with archive_server() as server, object_store() as store:
        allowed = [f"{server.url}/allowed/.*", f"{store}/models/allowed/.*", "s3://models/allowed/.*"]
        with new_stack("network", f"torchserve.allowed_urls={allowed}").running("1.0") as stack:
            yield Network(stack, server)


@contextmanager
def leaves_no_download() -> Iterator[None]:
    with TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", directory)
        yield
        assert list(Path(directory).iterdir()) == []


@contextmanager
def nothing_changes(network: Network) -> Iterator[None]:
    def state() -> object:
        return network.stack.versions(), network.store(), network.record()

    before = state()
    yield
    assert state() == before
    assert HTTP.get(f"{network.stack.settings.gateway.url}/health/ready").status_code == 200


def failure(result: subprocess.CompletedProcess[str]) -> str:
    """The one line that a command says when it failed."""
    assert result.returncode == 1, result.stderr
    *before, last = result.stderr.splitlines()
    assert last.startswith("failed: ")
    assert not any(line.startswith("failed: ") for line in before)
    return last


def test_an_object_is_deployed_and_torchserve_asks_nobody_for_it(network: Network) -> None:
    version = network.stack.fresh_version()
    archive = network.archive(version)
    key = f"allowed/genre/{version}/model.mar"
    put(key, archive)
    put(f"{key}.sha256", digest(archive).encode())
    network.deploy(version, f"s3://models/{key}")
    assert network.model_url() == f"genre-{version}.mar"
    assert network.store()[f"genre-{version}.mar"] == digest(archive)


def test_a_version_from_a_url_is_rolled_back_to_without_asking_for_it_again(network: Network) -> None:
    other, first, second = (network.stack.fresh_version() for _ in range(3))
    for version in (other, first, second):
        network.deploy(version, network.publish(version))
    # Kept are the last two.
    archives = [f"genre-{version}.mar" for version in (other, first, second)]
    assert network.store().keys() & set(archives) == set(archives[1:])
    network.server.requests.clear()
    result = network.rollback()
    assert result.returncode == 0, result.stderr
    assert network.stack.versions() == [first]
    assert network.server.requests == []
    assert network.store().keys() & set(archives) == {archives[1]}
    assert network.store()[archives[1]] == digest(network.archive(first))


@pytest.mark.parametrize("extra", [[], [OWN_DISK]])
def test_the_code_in_another_archive_than_expected_never_runs(
    network: Network, tmp_path: Path, extra: list[str]
) -> None:
    version, ran = network.stack.fresh_version(), tmp_path / "ran"
    archive = network.archive(version, code=f"open({str(ran)!r}, 'w').close()")
    url = network.publish(version, archive)
    with nothing_changes(network):
        refused = network.upload(version, url, *extra, f"archive_source.sha256={'0' * 64}")
    assert failure(refused) == f"failed: {url} has sha256 {digest(archive)}, expected is {'0' * 64}"
    assert not ran.exists()
    # As the expected one it does run: so that it did not above says something.
    network.deploy(version, url, *extra, f"archive_source.sha256={digest(archive).upper()}")
    assert ran.exists()


def test_the_deployer_takes_no_archive_from_elsewhere(network: Network) -> None:
    url = network.server.publish("/genre-3.0.mar", network.archive("3.0"))
    network.server.requests.clear()
    with nothing_changes(network):
        for extra in ([], [OWN_DISK]):
            assert f"{url} does not match any allowed URL" in failure(network.upload("3.0", url, *extra))
    assert network.server.requests == []


def test_torchserve_takes_no_archive_from_elsewhere(network: Network) -> None:
    archive = network.archive("3.1")
    put("genre-3.1.mar", archive)
    # To this deployer it is allowed, to TorchServe neither it nor what it is presigned as.
    extra = [
        OWN_DISK,
        "torchserve.allowed_urls=['s3://models/.*']",
        f"archive_source.sha256={digest(archive)}",
    ]
    with nothing_changes(network):
        refused = network.upload("3.1", "s3://models/genre-3.1.mar", *extra)
        said = failure(refused)
        assert "genre 3.1 was not deployed: " in said
        assert ": Given URL http://127.0.0.1:" in said
        assert "/models/genre-3.1.mar does not match any allowed URL(s)" in said
        assert "Signature" not in refused.stderr + network.logs()


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/genre-3.2.mar", "https://models.example/genre-3.2.mar", "file:///etc/passwd"]
)
def test_the_management_api_takes_no_archive_from_elsewhere(network: Network, url: str) -> None:
    models = f"{network.stack.settings.torchserve.management_url}/models"
    with nothing_changes(network):
        refused = HTTP.post(models, params={"model_name": "genre", "url": url})
    assert refused.status_code == 404
    assert "does not match any allowed URL(s)" in refused.json()["message"]


@pytest.mark.parametrize("extra", [[], [OWN_DISK]])
@pytest.mark.parametrize(
    ("found", "said"),
    [
        (HTTPStatus.NOT_FOUND, "fetching "),
        (HTTPStatus.FORBIDDEN, "403"),
        (b"no zip", "is no model archive"),
        (None, "is an archive of version 1.0, not 4.0"),
    ],
)
def test_what_is_no_archive_of_that_version_never_reaches_torchserve(
    network: Network, extra: list[str], found: HTTPStatus | bytes | None, said: str
) -> None:
    content = found or network.archive("1.0")
    network.server.files["/allowed/genre-4.0.mar"] = content
    expected = digest(content) if isinstance(content, bytes) else "0" * 64
    url = f"{network.server.url}/allowed/genre-4.0.mar"
    with nothing_changes(network):
        assert said in failure(network.upload("4.0", url, *extra, f"archive_source.sha256={expected}"))


def test_a_file_of_ours_is_nothing_for_a_torchserve_with_another_disk(network: Network) -> None:
    with nothing_changes(network):
        assert "archive_source=file_browser" in failure(network.stack.upload_model("1.0", OWN_DISK))


@pytest.mark.long
def test_a_torchserve_with_another_disk_downloads_through_a_presigned_url(
    network: Network, images: list[Path]
) -> None:
    image = images[0].read_bytes()
    version, next_version = network.stack.fresh_version(), network.stack.fresh_version()
    first, second = network.archive(version), network.archive(next_version)
    key, next_key = f"allowed/{version}/model.mar", f"allowed/{next_version}/model.mar"
    put(key, first)
    logged = network.deploy(version, f"s3://models/{key}", OWN_DISK, f"archive_source.sha256={digest(first)}")
    query = parse_qs(urlsplit(network.model_url()).query)
    assert {"AWSAccessKeyId", "Signature", "Expires"} <= set(query)
    assert network.store()["model.mar"] == digest(first)
    assert f'"s3://models/{key}"' in network.record()
    assert "Signature" not in logged + network.logs() + network.record()

    # TorchServe starts from the file that it downloaded.
    pid = network.stack.pid("torchserve")
    os.kill(pid, signal.SIGKILL)
    until_gone(pid)
    assert until_answered(network.stack, image).headers["x-model-version"] == version
    assert network.model_url() == "model.mar"

    # From now on it takes the file for its own and keeps it: what comes next needs another name ...
    put(next_key, second)
    with nothing_changes(network):
        refused = network.upload(
            *(next_version, f"s3://models/{next_key}", OWN_DISK, f"archive_source.sha256={digest(second)}"),
        )
        assert "model store holds another model.mar" in failure(refused)
    network.deploy(next_version, network.publish(next_version, second), OWN_DISK)

    # ... and a rollback finds it there.
    back = network.rollback(OWN_DISK)
    assert back.returncode == 0, back.stderr
    assert "TorchServe still has model.mar" in back.stderr
    assert network.stack.versions() == [version]
    # What was downloaded for the other went with it.
    assert f"genre-{next_version}.mar" not in network.store()


def test_a_rollback_is_downloaded_and_verified_again(network: Network) -> None:
    version, other = network.stack.fresh_version(), network.stack.fresh_version()
    archive = network.archive(version)
    url = network.publish(version, archive)
    network.deploy(version, url, OWN_DISK)
    network.deploy(other, network.publish(other), OWN_DISK)
    assert f"genre-{version}.mar" not in network.store()
    network.publish(version, network.archive(version, code="overwritten = True"))
    with nothing_changes(network):
        assert f"expected is {digest(archive)}" in failure(network.rollback(OWN_DISK))
    network.publish(version, archive)
    back = network.rollback(OWN_DISK)
    assert back.returncode == 0, back.stderr
    assert network.stack.versions() == [version]
    assert network.model_url() == url

"""An archive over the network: the right one or none, and nothing of it is left behind."""

import json
import logging
import re
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import fsspec.config
import httpx
import pytest

from tests.archive_server import ArchiveServer, archive_server, digest, model_archive
from tests.certificates import self_signed
from tests.composed_settings import load_once
from tests.object_store import forget_connections, object_store, put
from tests.shown_blocks import assert_same_words, quoted_text
from torchserve_gateway import downloads
from torchserve_gateway.deployment.archives.remote import remote_archive
from torchserve_gateway.deployment.archives.sources import local_archive
from torchserve_gateway.deployment.archives.verification import Archive
from torchserve_gateway.deployment.errors import ArchiveRefusedError, ModelStoreError
from torchserve_gateway.downloads import without_credentials
from torchserve_gateway.settings.composition import PROJECT_ROOT
from torchserve_gateway.settings.deployment import UploadSettings

DEPLOYING = "docs/deploying.md"
ARCHIVE = model_archive("2.0")
ALLOWED = (
    "torchserve.allowed_urls=['https?://127[.]0[.]0[.]1:.*','https?://user.*','s3://models/.*','file://.*']"
)
OWN_DISK = "torchserve.model_store=null"


@pytest.fixture
def server() -> Iterator[ArchiveServer]:
    with archive_server() as server:
        yield server


@pytest.fixture(autouse=True)
def downloads_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where downloads go; whatever happens, nothing is left there."""
    directory = tmp_path / "downloads"
    directory.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(directory))
    monkeypatch.setenv("TMPDIR", str(directory))
    yield directory
    assert list(directory.iterdir()) == []


def settings(*overrides: str) -> UploadSettings:
    return load_once("upload", UploadSettings, ['model.version="2.0"', ALLOWED, *overrides])


def fetched(url: str, sha256: str | None = None, *overrides: str) -> tuple[Archive, bytes | None]:
    """The archive behind a URL and the content of the file to stage, as long as there was one."""
    with remote_archive(settings(*overrides), url, "2.0", sha256) as archive:
        return archive, archive.file.read_bytes() if archive.file else None


def refused(url: str, sha256: str | None = None, *overrides: str) -> str:
    with pytest.raises(ArchiveRefusedError) as caught:
        fetched(url, sha256, *overrides)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def test_the_file_to_stage_is_what_was_verified(server: ArchiveServer) -> None:
    url = server.publish("/genre-2.0.mar", ARCHIVE)
    archive, content = fetched(url)
    assert content == ARCHIVE
    assert (archive.source, archive.name, archive.sha256) == (url, "genre-2.0.mar", digest(ARCHIVE))
    assert archive.url == "genre-2.0.mar"


def test_a_staged_file_is_named_by_model_and_version_whatever_the_url_says(server: ArchiveServer) -> None:
    url = server.publish("/models/genre/2.0/model.mar", ARCHIVE)
    assert fetched(url)[0].name == "genre-2.0.mar"


def test_the_configured_checksum_makes_the_one_beside_the_archive_unnecessary(server: ArchiveServer) -> None:
    url = server.publish("/genre-2.0.mar", ARCHIVE)
    assert fetched(url, digest(ARCHIVE))[1] == ARCHIVE
    assert not any(path.endswith(".sha256") for path in server.requests)


def test_a_checksum_may_be_in_capitals(server: ArchiveServer) -> None:
    url = server.publish("/genre-2.0.mar", ARCHIVE)
    server.files["/genre-2.0.mar.sha256"] = digest(ARCHIVE).upper().encode()
    assert fetched(url)[1] == ARCHIVE
    configured = settings(f"archive_source.sha256={digest(ARCHIVE).upper()}").archive_source.sha256
    assert configured == digest(ARCHIVE)


@pytest.mark.parametrize(
    ("beside", "said"),
    [
        (b"", "holds ''"),
        (b"<!DOCTYPE html>", "holds '<!DOCTYPE'"),
        (b"\xff\xfe\x00 x", "not 64 hexadecimal digits"),
        (digest(ARCHIVE)[:63].encode(), "not 64 hexadecimal digits"),
        (b"0" * 5000, "has 5000 bytes"),
        (HTTPStatus.NOT_FOUND, "genre-2.0.mar.sha256 beside it"),
    ],
)
def test_without_a_usable_checksum_the_archive_is_not_even_downloaded(
    server: ArchiveServer, beside: bytes | HTTPStatus, said: str
) -> None:
    url = server.publish("/genre-2.0.mar", ARCHIVE)
    server.files["/genre-2.0.mar.sha256"] = beside
    message = refused(url)
    assert f"the checksum of {url} is not known: set archive_source.sha256" in message
    shown = quoted_text("docs/archives.md", "the checksum of ... is not known: set archive_source.sha256")
    assert_same_words(message, f"...{shown}...")
    assert said in message
    assert "/genre-2.0.mar" not in server.requests


def test_a_url_with_a_query_needs_a_configured_checksum(server: ArchiveServer) -> None:
    url = server.publish("/genre-2.0.mar", ARCHIVE) + "?ref=main"
    assert "a URL with a query has no file beside it" in refused(url)
    archive, content = fetched(url, digest(ARCHIVE))
    assert content == ARCHIVE
    assert archive.source == url.removesuffix("?ref=main")


def test_another_checksum_is_refused(server: ArchiveServer) -> None:
    url = server.publish("/genre-2.0.mar", ARCHIVE)
    message = refused(url, "0" * 64)
    assert message == f"{url} has sha256 {digest(ARCHIVE)}, expected is {'0' * 64}"
    assert_same_words(message, f"...{quoted_text(DEPLOYING, 'has sha256 ..., expected is ...')}")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.2:80/genre-2.0.mar",
        "ftp://127.0.0.1/genre-2.0.mar",
        "s3://other/genre-2.0.mar",
        "HTTP://127.0.0.1:80/genre-2.0.mar",
        "http://127.0.0.1:80/x\nhttp://127.0.0.2/genre-2.0.mar",
        "zip://genre-2.0.mar::http://127.0.0.1:80/x.zip",
        "file:///tmp/x::http://127.0.0.2/genre-2.0.mar",
        "http://[::1/genre-2.0.mar",
    ],
)
def test_no_other_url_is_asked(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "torchserve_gateway.deployment.archives.remote.download", lambda *_: pytest.fail("asked")
    )
    said = quoted_text(DEPLOYING, "does not match any allowed URL")
    with (
        pytest.raises(ArchiveRefusedError, match=rf"{said}; .* allow: http"),
        remote_archive(settings(), url, "2.0", "0" * 64),
    ):
        pass


def test_an_ipv6_address_is_one_address() -> None:
    allowed = "torchserve.allowed_urls=['http://\\[::1\\]:1/.*']"
    message = refused("http://[::1]:1/x.mar", "0" * 64, allowed)
    assert "fetching http://[::1]:1/x.mar failed" in message
    assert_same_words(message, f"{quoted_text(DEPLOYING, 'fetching ... failed')}...")


@pytest.mark.parametrize("user", ["user:secret@", "secret@", "us:er:secret@", "user:se@cret@"])
def test_a_url_with_a_password_is_refused_and_not_shown(user: str) -> None:
    message = refused(f"https://{user}127.0.0.1/genre-2.0.mar", "0" * 64)
    assert "https://127.0.0.1/genre-2.0.mar was given with a user or password" in message
    assert "cret" not in message


def test_credentials_come_from_fsspecs_own_configuration(
    server: ArchiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured: dict[str, dict[str, object]] = {}
    header = json.dumps({"headers": {"Authorization": "Bearer abc"}})
    fsspec.config.set_conf_env(configured, {"FSSPEC_HTTP": header})
    monkeypatch.setitem(fsspec.config.conf, "http", configured["http"])
    try:
        fetched(server.publish("/genre-2.0.mar", ARCHIVE), digest(ARCHIVE))
    finally:
        forget_connections()
    assert server.headers["Authorization"] == "Bearer abc"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (HTTPStatus.NOT_FOUND, "404"),
        (HTTPStatus.FORBIDDEN, "403"),
        (HTTPStatus.INTERNAL_SERVER_ERROR, "500"),
        (b"no zip", quoted_text(DEPLOYING, "is no model archive")),
        (model_archive("2.0")[:50], "is no model archive"),
        (model_archive("1.0"), quoted_text("docs/archives.md", "is an archive of version 1.0, not 2.0")),
        (model_archive("2.0", padding=2_000_000), "max_archive_mb = 1"),
    ],
)
def test_what_a_server_may_answer_instead_is_said(
    server: ArchiveServer, caplog: pytest.LogCaptureFixture, answer: bytes | HTTPStatus, said: str
) -> None:
    caplog.set_level(logging.INFO)
    server.files["/genre-2.0.mar"] = answer
    expected = digest(answer) if isinstance(answer, bytes) else "0" * 64
    url = f"{server.url}/genre-2.0.mar"
    message = refused(f"{url}?X-Amz-Signature=secret", expected, "max_archive_mb=1")
    assert url in message
    assert said in message
    assert "secret" not in message + caplog.text


def test_a_file_without_end_is_cut_off(server: ArchiveServer) -> None:
    server.files["/genre-2.0.mar"] = model_archive("2.0", padding=3_000_000)
    server.without_size.add("/genre-2.0.mar")
    assert "max_archive_mb = 1" in refused(f"{server.url}/genre-2.0.mar", "0" * 64, "max_archive_mb=1")


def test_a_full_disk_is_said(server: ArchiveServer) -> None:
    server.files["/genre-2.0.mar"] = model_archive("2.0", padding=3_000_000)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        message = refused(f"{server.url}/genre-2.0.mar", "0" * 64)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert message == f"fetching {server.url}/genre-2.0.mar failed: [Errno 27] File too large"


def test_a_stalled_server_is_not_waited_for(server: ArchiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "HTTP_TIMEOUT_S", {"sock_read": 0.2})
    server.files["/genre-2.0.mar"] = threading.Event()
    assert "Timeout" in refused(f"{server.url}/genre-2.0.mar", "0" * 64)


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    with archive_server(self_signed(tmp_path / "certificate.pem", "localhost")) as server:
        assert "CERTIFICATE_VERIFY_FAILED" in refused(f"{server.url}/genre-2.0.mar", "0" * 64)


def test_a_redirect_leads_anywhere_but_to_another_archive(server: ArchiveServer) -> None:
    with archive_server() as elsewhere:
        server.files["/genre-2.0.mar"] = elsewhere.publish("/cdn", ARCHIVE)
        url = f"{server.url}/genre-2.0.mar"
        assert fetched(url, digest(ARCHIVE))[1] == ARCHIVE
        elsewhere.publish("/cdn", model_archive("2.0", padding=1))
        assert "expected is" in refused(url, digest(ARCHIVE))


def test_a_file_url_is_fetched(tmp_path: Path) -> None:
    (tmp_path / "genre-2.0.mar").write_bytes(ARCHIVE)
    (tmp_path / "genre-2.0.mar.sha256").write_text(digest(ARCHIVE))
    assert fetched(f"file://{tmp_path}/genre-2.0.mar")[1] == ARCHIVE


@pytest.mark.slow
def test_an_object_is_fetched_with_the_checksum_beside_it() -> None:
    with object_store():
        put("genre-2.0.mar", ARCHIVE)
        put("genre-2.0.mar.sha256", digest(ARCHIVE).encode())
        archive, content = fetched("s3://models/genre-2.0.mar")
    assert content == ARCHIVE
    assert archive.source == "s3://models/genre-2.0.mar"


@pytest.mark.slow
def test_a_version_of_an_object_is_just_that_one() -> None:
    with object_store():
        version_id = put("genre-2.0.mar", ARCHIVE)
        put("genre-2.0.mar", b"overwritten")
        url = f"s3://models/genre-2.0.mar?versionId={version_id}"
        archive, content = fetched(url, digest(ARCHIVE))
        assert content == ARCHIVE
        assert archive.source == url
        presigned = fetched(url, digest(ARCHIVE), OWN_DISK)[0].url
        assert httpx.get(presigned).content == ARCHIVE


@pytest.mark.slow
@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "there is no such file"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "127.0.0.1"),
        ({"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}, "credentials"),
    ],
)
def test_what_a_store_may_answer_instead_is_said(environment: dict[str, str | None], said: str) -> None:
    with object_store(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_MAX_ATTEMPTS", "1")
        for name, value in environment.items():
            patch.setenv(name, value) if value else patch.delenv(name)
        message = refused("s3://models/genre-2.0.mar", "0" * 64)
    assert message.startswith("fetching s3://models/genre-2.0.mar failed: ")
    assert said in message


def test_a_torchserve_with_another_disk_gets_the_url_as_it_is(server: ArchiveServer) -> None:
    url = server.publish("/2.0/model.mar", ARCHIVE)
    archive, content = fetched(url, None, OWN_DISK)
    assert content is None
    assert (archive.url, archive.name, archive.sha256) == (url, "model.mar", digest(ARCHIVE))


@pytest.mark.slow
def test_a_torchserve_with_another_disk_gets_a_presigned_url_of_an_object() -> None:
    with object_store() as endpoint:
        put("genre/2.0/model.mar", ARCHIVE)
        archive, content = fetched("s3://models/genre/2.0/model.mar", digest(ARCHIVE), OWN_DISK)
        assert httpx.get(archive.url).content == ARCHIVE
    assert content is None
    assert archive.url.startswith(f"{endpoint}/models/genre/2.0/model.mar?")
    assert {"Signature", "Expires"} <= {key.split("-")[-1] for key in parse_qs(urlsplit(archive.url).query)}
    assert (archive.source, archive.name) == ("s3://models/genre/2.0/model.mar", "model.mar")


@pytest.mark.parametrize("name", ["model.tar.gz", "genre%202.0.mar", "", "download?file=x.mar"])
def test_a_torchserve_with_another_disk_needs_a_name_it_can_keep(server: ArchiveServer, name: str) -> None:
    assert "must end in <name>.mar" in refused(f"{server.url}/{name}", "0" * 64, OWN_DISK)
    assert server.requests == []


def test_a_torchserve_with_another_disk_cannot_have_our_files(tmp_path: Path) -> None:
    file = tmp_path / "genre-2.0.mar"
    file.write_bytes(ARCHIVE)
    assert "offers no presigned URLs" in refused(f"file://{file}", digest(ARCHIVE), OWN_DISK)
    with pytest.raises(ArchiveRefusedError, match="archive_source=file_browser"):
        local_archive(settings(OWN_DISK), file, "2.0", None)


@pytest.mark.parametrize(
    ("content", "sha256", "error"),
    [
        (ARCHIVE, "0" * 64, ArchiveRefusedError),
        (model_archive("1.0"), None, ArchiveRefusedError),
        (b"no zip", None, ArchiveRefusedError),
        (None, None, ModelStoreError),
    ],
)
def test_a_local_archive_that_is_not_right_is_refused(
    tmp_path: Path, content: bytes | None, sha256: str | None, error: type[Exception]
) -> None:
    file = tmp_path / "genre-2.0.mar"
    if content:
        file.write_bytes(content)
    with pytest.raises(error, match=re.escape(str(file))):
        local_archive(settings(), file, "2.0", sha256)


def test_a_local_archive_is_taken_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "genre-2.0.mar"
    file.write_bytes(ARCHIVE)
    name = "genre-2.0.mar"
    expected = Archive(name, name, file, name, digest(ARCHIVE), takes_images=False)
    assert local_archive(settings(), file, "2.0", digest(ARCHIVE)) == expected


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_download_leaves_nothing(
    server: ArchiveServer, tmp_path: Path, how: signal.Signals
) -> None:
    server.files["/genre-2.0.mar"] = threading.Event()
    overrides = [
        ALLOWED,
        f"archive_source.url={server.url}/genre-2.0.mar",
        f"archive_source.sha256={'0' * 64}",
    ]
    command = [sys.executable, "upload_model.py", *overrides, f"torchserve.deployments_dir={tmp_path}/record"]
    # Where the tests themselves run in a shell's background SIGINT is ignored, which is inherited.
    command = ["env", f"--default-signal={how.name.removeprefix('SIG')}", *command]
    process = subprocess.Popen(command, cwd=PROJECT_ROOT, stderr=subprocess.PIPE, text=True)
    until(lambda: "/genre-2.0.mar" in server.requests)
    process.send_signal(how)
    assert process.communicate(timeout=60)[1].endswith("interrupted\n")
    assert process.returncode == (130 if how == signal.SIGINT else 1)


def until(condition: Callable[[], bool]) -> None:
    waited = threading.Event()
    for _ in range(600):
        if condition():
            return
        waited.wait(0.1)
    pytest.fail("it did not happen")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://h/x.mar", "https://h/x.mar"),
        ("https://h/x.mar?a=b&c=d", "https://h/x.mar"),
        ("https://user:secret@h/x.mar?a=b", "https://h/x.mar"),
        ("https://token@h/x.mar", "https://h/x.mar"),
        ("ftp://user:secret@h/x", "ftp://h/x"),
        ("https://h/@scope/x.mar", "https://h/@scope/x.mar"),
        ("s3://b/x.mar?versionId=1", "s3://b/x.mar?versionId=1"),
        ("abfs://container@account/x.mar", "abfs://container@account/x.mar"),
        ("Given URL http://h/x.mar?a=b&c=d does not match", "Given URL http://h/x.mar does not match"),
        ("403, url='http://h/x?secret'", "403, url='http://h/x'"),
    ],
)
def test_what_may_be_secret_in_a_url_is_not_shown(text: str, shown: str) -> None:
    assert without_credentials(text) == shown

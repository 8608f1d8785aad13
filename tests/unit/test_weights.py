"""A checkpoint arrives whole and verified, or what was there stays."""

import hashlib
import http.server
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import command
from tests.http_server import serving
from tests.object_store import object_store, put
from torchserve_gateway.settings.model_parts.weights import WeightsSettings
from torchserve_gateway.weights import WeightsError, fetch_weights

CONTENT = bytes(range(256)) * 40_000
RANGES = ("/ranges/", "/flaky/")
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class FileServer(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT below every path; /ranges/ honours Range and records it, /cut/ breaks off half-way.

    /flaky/ does so too, but not when it is asked for a range.
    """

    ranges: list[str]

    def do_HEAD(self) -> None:
        self._head(200, len(CONTENT))

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        if asked and self.path.startswith(RANGES):
            self.server.ranges.append(asked)  # type: ignore[attr-defined]
            first, _, last = asked.removeprefix("bytes=").partition("-")
            part = CONTENT[int(first) : int(last) + 1 if last else None]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{int(first) + len(part) - 1}/{len(CONTENT)}")
            self.send_header("Content-Length", str(len(part)))
            self.end_headers()
            self.wfile.write(part)
            return
        self._head(200, len(CONTENT))
        breaks = self.path.startswith(("/cut/", "/flaky/"))
        self.wfile.write(CONTENT[: len(CONTENT) // 2] if breaks else CONTENT)

    def _head(self, status: int, length: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        if self.path.startswith(RANGES):
            self.send_header("Accept-Ranges", "bytes")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[http.server.ThreadingHTTPServer]:
    with serving(FileServer) as server:
        server.ranges = []  # type: ignore[attr-defined]
        yield server


def weights(path: Path, url: str | None, sha256: str | None = DIGEST) -> WeightsSettings:
    return WeightsSettings(path=path, url=url, sha256=sha256)


def url_of(server: http.server.ThreadingHTTPServer, path: str) -> str:
    return f"http://127.0.0.1:{server.server_port}{path}"


def test_a_file_url_is_fetched(tmp_path: Path) -> None:
    source = tmp_path / "source.pt"
    source.write_bytes(CONTENT)
    target = tmp_path / "weights" / "model.pt"
    assert fetch_weights(weights(target, f"file://{source}")).read_bytes() == CONTENT
    assert [file.name for file in target.parent.iterdir()] == ["model.pt"]


@pytest.mark.parametrize("path", ["/ranges/model.pt", "/plain/model.pt"])
def test_an_http_url_is_fetched(tmp_path: Path, server: http.server.ThreadingHTTPServer, path: str) -> None:
    target = tmp_path / "model.pt"
    assert fetch_weights(weights(target, url_of(server, path))).read_bytes() == CONTENT


@pytest.mark.slow
def test_an_s3_url_is_fetched(tmp_path: Path) -> None:
    with object_store():
        put("model.pt", CONTENT)
        target = tmp_path / "model.pt"
        (tmp_path / "model.pt.part").write_bytes(CONTENT[:4_000_000])
        assert fetch_weights(weights(target, "s3://models/model.pt")).read_bytes() == CONTENT


def test_what_a_broken_run_left_is_gone_on_with(
    tmp_path: Path, server: http.server.ThreadingHTTPServer
) -> None:
    target = tmp_path / "model.pt"
    (tmp_path / "model.pt.part").write_bytes(CONTENT[:4_000_000])
    fetch_weights(weights(target, url_of(server, "/ranges/model.pt")))
    assert target.read_bytes() == CONTENT
    firsts = [int(each.removeprefix("bytes=").partition("-")[0]) for each in server.ranges]  # type: ignore[attr-defined]
    assert firsts
    assert min(firsts) >= 4_000_000


def test_a_connection_that_breaks_is_gone_on_with(
    tmp_path: Path, server: http.server.ThreadingHTTPServer
) -> None:
    target = tmp_path / "model.pt"
    assert fetch_weights(weights(target, url_of(server, "/flaky/model.pt"))).read_bytes() == CONTENT
    assert server.ranges  # type: ignore[attr-defined]


def test_without_ranges_it_starts_again(tmp_path: Path, server: http.server.ThreadingHTTPServer) -> None:
    (tmp_path / "model.pt.part").write_bytes(b"x" * 1000)
    target = tmp_path / "model.pt"
    assert fetch_weights(weights(target, url_of(server, "/plain/model.pt"))).read_bytes() == CONTENT


def test_another_checksum_is_an_error_that_keeps_the_old_file(tmp_path: Path) -> None:
    source, target = tmp_path / "source.pt", tmp_path / "model.pt"
    source.write_bytes(b"tampered")
    target.write_bytes(b"old")
    with pytest.raises(WeightsError, match=f"the configuration expects {DIGEST}"):
        fetch_weights(weights(target, f"file://{source}"))
    assert target.read_bytes() == b"old"
    assert not (tmp_path / "model.pt.part").exists()


def test_a_broken_connection_is_an_error_that_keeps_the_old_file(
    tmp_path: Path, server: http.server.ThreadingHTTPServer
) -> None:
    target = tmp_path / "model.pt"
    target.write_bytes(b"old")
    with pytest.raises(WeightsError):
        fetch_weights(weights(target, url_of(server, "/cut/model.pt")))
    assert target.read_bytes() == b"old"


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/m.pt", "file:///nonesuch.pt", "nonesuch://x/m.pt"])
def test_an_unreachable_url_is_named(tmp_path: Path, url: str) -> None:
    with pytest.raises(WeightsError, match=url.split("://", maxsplit=1)[0]):
        fetch_weights(weights(tmp_path / "model.pt", url))


def test_a_verified_file_is_not_fetched_again(tmp_path: Path) -> None:
    target = tmp_path / "model.pt"
    target.write_bytes(CONTENT)
    assert fetch_weights(weights(target, "http://127.0.0.1:1/m.pt")) == target


def test_without_a_url_the_message_says_how_to_get_the_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="make train"):
        fetch_weights(weights(tmp_path / "model.pt", None, None))


def test_the_command_exits_with_1(tmp_path: Path) -> None:
    result = command("download-weights", f"model.weights.path={tmp_path}/model.pt")
    assert result.exit_code == 1
    assert result.stderr.startswith("failed: ")

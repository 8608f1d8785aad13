"""Archives over HTTP on loopback, with the faults that a server may have."""

import hashlib
import http.server
import io
import json
import ssl
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path


def model_archive(version: str, padding: int = 0) -> bytes:
    """What looks like a model archive from outside."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        # A fixed date: test names contain these bytes, and all workers of a run must agree on them.
        manifest = json.dumps({"model": {"modelVersion": version}})
        archive.writestr(zipfile.ZipInfo("MAR-INF/MANIFEST.json"), manifest)
        archive.writestr(zipfile.ZipInfo("genre.pt"), b"x" * padding)
    return content.getvalue()


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class ArchiveServer:
    """files: by path; a status is answered as it is, a text is redirected to, an event holds the answer back.

    requests: what was asked for, paths with queries; headers: of the last one.
    """

    url: str
    files: dict[str, bytes | HTTPStatus | str | threading.Event] = field(default_factory=dict)
    without_size: set[str] = field(default_factory=set)
    requests: list[str] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)

    def publish(self, path: str, content: bytes) -> str:
        """Serves an archive with its checksum beside it, as the file browser does, and returns its URL."""
        self.files[path] = content
        self.files[f"{path}.sha256"] = f"{digest(content)}  {Path(path).name}\n".encode()
        return self.url + path


@contextmanager
def archive_server(certificate: Path | None = None) -> Iterator[ArchiveServer]:
    """certificate: a file with one and its key, for https."""
    listener = _Listener(("127.0.0.1", 0), _Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        listener.socket = context.wrap_socket(listener.socket, server_side=True)
    listener.archives = ArchiveServer(f"http{'s' if certificate else ''}://127.0.0.1:{listener.server_port}")
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield listener.archives
    finally:
        for held_back in listener.archives.files.values():
            if isinstance(held_back, threading.Event):
                held_back.set()
        listener.shutdown()
        thread.join()
        listener.server_close()


class _Listener(http.server.ThreadingHTTPServer):
    archives: ArchiveServer


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Listener

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, with_body: bool) -> None:
        archives = self.server.archives
        archives.requests.append(self.path)
        archives.headers = dict(self.headers)
        path = self.path.split("?")[0]
        found = archives.files.get(path, HTTPStatus.NOT_FOUND)
        if isinstance(found, threading.Event):
            found.wait(60)
        elif isinstance(found, bytes):
            self.send_response(HTTPStatus.OK)
            if path not in archives.without_size:
                self.send_header("Content-Length", str(len(found)))
            self.end_headers()
            if with_body:
                self.wfile.write(found)
        else:
            self.send_response(found if isinstance(found, HTTPStatus) else HTTPStatus.FOUND)
            self.send_header("Location", str(found))
            self.end_headers()

    def log_message(self, *_: object) -> None:
        pass

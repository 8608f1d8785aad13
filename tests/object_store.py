"""An S3 on loopback, and the environment that AWS tools find it by."""

from collections.abc import Iterator
from contextlib import contextmanager

import fsspec
import pytest
from moto.server import ThreadedMotoServer

from tests.http_client import HTTP

BUCKET = "models"


@contextmanager
def object_store() -> Iterator[str]:
    """Its URL. It has one empty bucket, and keeps every version of what is in it."""
    server = ThreadedMotoServer("127.0.0.1", port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        # Moto keeps what is in it as long as the process lives.
        HTTP.post(f"{url}/moto-api/reset").raise_for_status()
        with pytest.MonkeyPatch.context() as patch:
            for name, value in (("ENDPOINT_URL", url), ("ACCESS_KEY_ID", "x"), ("SECRET_ACCESS_KEY", "x")):
                patch.setenv(f"AWS_{name}", value)
            forget_connections()
            HTTP.put(f"{url}/{BUCKET}").raise_for_status()
            versioning = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
            HTTP.put(f"{url}/{BUCKET}?versioning", content=versioning).raise_for_status()
            yield url
    finally:
        forget_connections()
        server.stop()


def put(path: str, content: bytes) -> str:
    """Puts an object into the bucket and returns the id of this version of it."""
    filesystem = fsspec.filesystem("s3", version_aware=True)
    filesystem.pipe(f"{BUCKET}/{path}", content)
    return str(filesystem.info(f"{BUCKET}/{path}", refresh=True)["VersionId"])


def forget_connections() -> None:
    """Fsspec keeps file systems, with the address and the credentials they were first used with."""
    for protocol in ("s3", "http"):
        fsspec.get_filesystem_class(protocol).clear_instance_cache()

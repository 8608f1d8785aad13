"""nginx serves model_mars/, and a version is deployed from it."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.conftest import require_program
from tests.running_stack import RunningStack
from torchserve_gateway.settings.composition import PROJECT_ROOT


@pytest.fixture
def browser(stack: RunningStack) -> Iterator[str]:
    require_program("nginx")
    command = [sys.executable, "-m", "torchserve_gateway", "file-browser", *stack.overrides]
    own = [f"state_dir={stack.directory}/var", f"model_mars={stack.directory}/model_mars"]
    process = subprocess.Popen([*command, *own], cwd=PROJECT_ROOT)
    url = stack.settings.file_browser.url
    try:
        give_up = time.monotonic() + 60
        while not answers(url):
            assert process.poll() is None
            assert time.monotonic() < give_up
            time.sleep(0.2)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


def answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False


def test_it_lists_and_serves_archives_and_a_version_is_deployed_from_it(
    stack: RunningStack, browser: str
) -> None:
    assert stack.generate_mar("5.0").returncode == 0
    archive = stack.directory / "model_mars" / "genre-5.0.mar"
    (stack.directory / "model_mars" / ".hidden").write_text("x")
    assert "genre-5.0.mar" in httpx.get(f"{browser}/").text
    assert httpx.get(f"{browser}/files/genre-5.0.mar").content == archive.read_bytes()
    assert httpx.get(f"{browser}/files/.hidden").status_code == 404
    assert httpx.post(f"{browser}/files/genre-5.0.mar", content=b"x").status_code == 405

    result = stack.upload_model("5.0", "archive_source=file_browser")
    assert result.returncode == 0, result.stderr
    assert f"fetched {browser}/files/genre-5.0.mar" in result.stderr
    assert f"{browser}/files/genre-5.0.mar has the expected sha256" in result.stderr
    ready = httpx.get(f"{stack.settings.torchserve.management_url}/models/genre").json()
    assert ready[0]["modelVersion"] == "5.0"

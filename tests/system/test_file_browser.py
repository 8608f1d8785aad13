"""nginx serves model_mars/, and a version is deployed from it."""

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.conftest import require_program
from tests.http_client import HTTP, answers
from tests.processes import until
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
        until(lambda: process.poll() is not None or answers(url))
        assert process.poll() is None
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


def test_it_lists_and_serves_archives_and_a_version_is_deployed_from_it(
    stack: RunningStack, browser: str
) -> None:
    version = stack.fresh_version()
    archive = stack.add_archive(version)
    (stack.directory / "model_mars" / ".hidden").write_text("x")
    assert archive.name in HTTP.get(f"{browser}/").text
    assert HTTP.get(f"{browser}/files/{archive.name}").content == archive.read_bytes()
    assert HTTP.get(f"{browser}/files/.hidden").status_code == 404
    assert HTTP.post(f"{browser}/files/{archive.name}", content=b"x").status_code == 405

    result = stack.upload_model(version, "archive_source=file_browser")
    assert result.returncode == 0, result.stderr
    assert f"fetched {browser}/files/{archive.name}" in result.stderr
    assert f"{browser}/files/{archive.name} has the expected sha256" in result.stderr
    ready = HTTP.get(f"{stack.settings.torchserve.management_url}/models/genre").json()
    assert ready[0]["modelVersion"] == version

"""What several test modules share: the images, the settings, and one real stack for the session."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings

from tests.running_stack import RunningStack
from torchserve_gateway.load_test.images import image_files
from torchserve_gateway.settings.composition import PROJECT_ROOT, load
from torchserve_gateway.settings.project import ProjectSettings

# In CI more examples, and the same in each run, so that a failure there is one that others can repeat.
hypothesis_settings.register_profile("few", deadline=None, max_examples=50)
hypothesis_settings.register_profile("ci", deadline=None, max_examples=150, derandomize=True)
hypothesis_settings.load_profile("ci" if os.environ.get("CI") else "few")


@pytest.fixture(scope="session")
def images() -> list[Path]:
    """The sample posters; a poster's file name says its genre."""
    return image_files(PROJECT_ROOT / "imgs")


@pytest.fixture(scope="session")
def settings() -> ProjectSettings:
    """The configuration as it is committed."""
    return load("gateway", ProjectSettings)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """Real TorchServe, real handler, real gateway, with genre 1.0 deployed."""
    stack = RunningStack.configure(tmp_path_factory.mktemp("stack"))
    started = stack.stack("up")
    assert started.returncode == 0, started.stderr
    try:
        stack.deploy("1.0")
        yield stack
    finally:
        stopped = stack.stack("down")
        assert stopped.returncode == 0, stopped.stderr


def require_program(*names: str) -> str:
    """The first of these programs that is installed; without one the test is skipped, in CI it fails."""
    for name in names:
        found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
        if found:
            return found
    reason = f"{' or '.join(names)} is not installed"
    if os.environ.get("CI"):
        pytest.fail(f"{reason}; .ci/run installs it")
    pytest.skip(reason)

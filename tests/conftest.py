"""What several test modules share: the images, the settings, and one real stack for the session."""

import gc
import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest
from filelock import FileLock
from hypothesis import settings as hypothesis_settings

from tests.running_stack import RunningStack, generate_mar
from torchserve_gateway.load_test.images import image_files
from torchserve_gateway.settings.composition import PROJECT_ROOT, load
from torchserve_gateway.settings.project import ProjectSettings

# In CI more examples, and the same in each run, so that a failure there is one that others can repeat.
hypothesis_settings.register_profile("few", deadline=None, max_examples=15)
hypothesis_settings.register_profile("ci", deadline=None, max_examples=100, derandomize=True)
hypothesis_settings.load_profile("ci" if os.environ.get("CI") else "few")

# Parallel workers share the cores; PyTorch reads it when it is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A TorchServe of tests serves for seconds: better compilation takes more CPU time than it saves.
os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")

# Caches of FastAPI keep a hundred applications, which a full garbage collection searches for a second.
young, middle, old = gc.get_threshold()
gc.set_threshold(young, middle, 100 * old)

# A shell's background commands ignore Ctrl-C, and so would all that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

LONG_FOLDERS = tuple(PROJECT_ROOT / "tests" / name for name in ("conversion", "system"))


class NewStack(Protocol):
    """Chooses ports and a folder of that name for a stack; starts nothing."""

    def __call__(self, name: str, *overrides: str) -> RunningStack: ...


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long files first, so that parallel workers end at about the same time."""
    items.sort(key=_is_short)


def _is_short(item: pytest.Item) -> tuple[bool, bool]:
    in_long_folder = any(item.path.is_relative_to(folder) for folder in LONG_FOLDERS)
    return item.get_closest_marker("begins_first") is None, not in_long_folder


def pytest_collection_finish() -> None:
    """Leaves what imports made out of later garbage collections."""
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """Collects garbage once; pytest would collect it five times, and each takes up to a second."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def images() -> list[Path]:
    """The sample posters; a poster's file name says its genre."""
    return image_files(PROJECT_ROOT / "imgs")


@pytest.fixture(scope="session")
def settings() -> ProjectSettings:
    """The configuration as it is committed."""
    return load("gateway", ProjectSettings)


@pytest.fixture(scope="session")
def built_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of genre 1.0 as `make generate_mar` builds it, once for all parallel workers."""
    # The folder of the run; each parallel worker has one below it.
    directory = tmp_path_factory.getbasetemp()
    directory = directory.parent if "PYTEST_XDIST_WORKER" in os.environ else directory
    archive = directory / "built" / "genre-1.0.mar"
    with FileLock(directory / "built.lock"):
        if not archive.exists():
            built = generate_mar("1.0", f"model_mars={archive.parent}")
            assert built.returncode == 0, built.stderr
    return archive


@pytest.fixture(scope="session")
def new_stack(tmp_path_factory: pytest.TempPathFactory, built_archive: Path) -> NewStack:
    """For stacks that start and deploy as fast as they can."""

    def configure(name: str, *overrides: str) -> RunningStack:
        stack = RunningStack.configure(
            tmp_path_factory.mktemp(name),
            "model.workers=1",
            "gateway.deployments_refresh_s=0.1",
            # No balancer has to notice.
            "gateway.shutdown_delay_s=0.1",
            # Busy cores make calls slow, and fail none.
            "gateway.admission.max_wait_s=20",
            "gateway.health_timeout_s=20",
            "torchserve.connect_timeout_s=20",
            "torchserve.management_timeout_s=60",
            *overrides,
        )
        return replace(stack, built=built_archive, deploy_overrides=("settle_s=0.2",))

    return configure


@pytest.fixture(scope="session")
def stack(new_stack: NewStack) -> Iterator[RunningStack]:
    """Real TorchServe, real handler, real gateway, with a version of genre deployed.

    Tests share it: each leaves a version that answers right, and takes new ones from `fresh_version`.
    """
    with new_stack("stack").running("1.0") as stack:
        yield stack


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

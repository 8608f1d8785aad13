"""Packs, deploys and asks a described model; starts the stack first where nothing runs."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx

from torchserve_gateway.commands import stack
from torchserve_gateway.commands.onboarding.versions import version_of
from torchserve_gateway.commands.own_client import authorization, trusting
from torchserve_gateway.deployment.archives.building import built_archive
from torchserve_gateway.deployment.archives.sources import requested_archive
from torchserve_gateway.deployment.deploy import deploy
from torchserve_gateway.deployment.plan import upload_plan
from torchserve_gateway.load_test.images import image_files
from torchserve_gateway.local_stack.supervisor import Supervisor
from torchserve_gateway.onboarding.description import Described
from torchserve_gateway.onboarding.model_file import set_version
from torchserve_gateway.onboarding.source import shown
from torchserve_gateway.record.record import DeploymentRecord
from torchserve_gateway.settings.composition import existing_or_own, load
from torchserve_gateway.settings.deployment import UploadSettings
from torchserve_gateway.settings.gateway import GatewaySettings
from torchserve_gateway.settings.local_stack import StackSettings
from torchserve_gateway.terminal.output import print_line
from torchserve_gateway.terminal.waits import waiting

SHOWN_CLASSES = 3
ANSWER_TIMEOUT_S = 30
POLL_INTERVAL_S = 0.1


class AnswerError(Exception):
    """The deployed model gave no answer."""


class Phases:
    """Durations of the steps of a command, seconds."""

    def __init__(self) -> None:
        self._began = self._last = time.monotonic() - _age_s()
        self._durations: list[str] = []

    def end(self, name: str) -> None:
        """Notes that a step ended."""
        now = time.monotonic()
        self._durations.append(f"{name} {now - self._last:.1f}")
        self._last = now

    def summary(self) -> str:
        """All durations, the sum first."""
        return f"{self._last - self._began:.1f} s ({', '.join(self._durations)})"


def _age_s() -> float:
    """Seconds since this process started: Python and torch take some of them."""
    started = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf("SC_CLK_TCK")


def endpoint(described: Described, image: Path | None, overrides: Sequence[str], phases: Phases) -> None:
    """Serves a described model, predicts a picture, and prints the URL.

    Raises:
        StackError, PreflightError, SupervisorConfigError: the stack does not start.
        DeploymentError: the model was not deployed.
        AnswerError: it does not answer.
    """
    choice = [f"model={described.name}", *overrides]
    running = load("stack", StackSettings, _known_to(StackSettings, choice))
    with _running(running, _known_to(StackSettings, choice)) as wait_for_start:
        version = _packed(described, choice)
        phases.end("pack")
        wait_for_start()
        phases.end("start")
        _deploy(_upload(version, ["archive_source=model_mars", *choice]))
        phases.end("deploy")
        picture = image or image_files(existing_or_own(Path("imgs")))[0]
        url = f"{running.gateway.url}/predictions/{described.name}"
        with waiting(f"the answer to {picture.name}", limit_s=ANSWER_TIMEOUT_S):
            answer = _answer(running.gateway, url, picture)
        print(f"{picture.name}: {answer}")
        phases.end("predict")
    print(f"\n{url} answers after {phases.summary()}\n\n  curl -T {shown(picture)} {url}\n")
    print("Stop: torchserve-gateway down, or make down")


def _deploy(settings: UploadSettings) -> None:
    record = DeploymentRecord(settings.torchserve.deployments_dir)
    with record.lock(), requested_archive(settings) as archive:
        print_line(deploy(settings, record, upload_plan(settings, archive)))


def _packed(described: Described, choice: Sequence[str]) -> str:
    """Builds the archive of the version to deploy; returns the version."""
    settings = _upload(None, choice)
    deployed = DeploymentRecord(settings.torchserve.deployments_dir).read().models.get(described.name)
    version = version_of(settings, deployed)
    if version != settings.model.version:
        set_version(described.file, version)
    if deployed and version == deployed.serving.version:
        print(f"{described.name} {version} serves already, and nothing changed")
    elif deployed:
        print(f"{described.name} {version} follows {deployed.serving.version}")
    print(f"packed {shown(built_archive(_upload(version, choice)))}")
    return version


def _upload(version: str | None, choice: Sequence[str]) -> UploadSettings:
    named = [f'model.version="{version}"'] if version else []
    return load("upload", UploadSettings, [*_known_to(UploadSettings, choice), *named])


def _known_to(settings: type[StackSettings] | type[UploadSettings], overrides: Sequence[str]) -> list[str]:
    """Overrides without those of the other step: stack and deploy have settings of their own."""
    other = UploadSettings if settings is StackSettings else StackSettings
    foreign = other.model_fields.keys() - settings.model_fields.keys()
    return [each for each in overrides if _group(each) not in foreign]


def _group(override: str) -> str:
    return override.lstrip("+~").split("=")[0].split(".")[0]


@contextmanager
def _running(settings: StackSettings, overrides: Sequence[str]) -> Iterator[Callable[[], None]]:
    """Starts the stack in a thread, unless it runs; stops what it started if the block fails.

    Yields:
        a function that waits for the start.
    """
    if Supervisor(settings).pid() is not None:
        yield lambda: None
        return
    with ThreadPoolExecutor(1) as pool:
        start: Future[None] = pool.submit(stack.up, settings, overrides)
        try:
            yield start.result
        except BaseException:
            _stop(settings, start)
            raise


def _stop(settings: StackSettings, start: Future[None]) -> None:
    """Stops the stack; a start that is under way ends with its supervisor."""
    supervisor = Supervisor(settings)
    while not start.done() and supervisor.pid() is None:
        time.sleep(POLL_INTERVAL_S)
    if supervisor.pid() is not None:
        stack.down(settings, ())


def _answer(gateway: GatewaySettings, url: str, picture: Path) -> str:
    """The answer to a picture, in short."""
    try:
        response = httpx.post(
            url,
            content=picture.read_bytes(),
            headers={"Content-Type": "application/octet-stream", **authorization(gateway.auth)},
            timeout=ANSWER_TIMEOUT_S,
            verify=trusting(gateway.tls),
            trust_env=False,
        ).raise_for_status()
        answer = list(response.json().items())
    except httpx.HTTPStatusError as exc:
        raise AnswerError(f"{url} answers {exc.response.status_code}: {exc.response.text}") from exc
    except (httpx.HTTPError, OSError, ValueError, AttributeError) as exc:
        raise AnswerError(f"{url}: {exc or type(exc).__name__}") from exc
    rest = len(answer) - SHOWN_CLASSES
    top = ", ".join(f"{label} {value:.3f}" for label, value in answer[:SHOWN_CLASSES])
    return f"{top}, and {rest} more" if rest > 0 else top

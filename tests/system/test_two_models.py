"""Two models on one stack under load: a deploy of either disturbs neither."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from tests.conftest import NewStack
from tests.http_client import HTTP
from tests.processes import until
from tests.running_stack import RunningStack
from tests.steady_load import steady_load, until_undisturbed

pytestmark = pytest.mark.long

# A model whose requests are JSON.
ECHO = (
    "model.name=echo",
    "model.handler=tests/handlers/answering.py",
    *(f"model.{key}=null" for key in ("labels", "image", "weights", "calibration_images")),
)
PAUSE_S = 0.1
UNDISTURBED = 30


@pytest.fixture(scope="module")
def stack(new_stack: NewStack) -> Iterator[RunningStack]:
    """Genre and echo, both deployed."""
    with new_stack("two").running("1.0") as stack:
        deploy_echo(stack, "1.0")
        yield stack


def deploy_echo(stack: RunningStack, version: str) -> None:
    sample = stack.directory / "sample.json"
    sample.write_text('{"body": [0.5, "ok"]}')
    stack.add_archive(version, model="echo", handler="answering")
    samples = f"model.samples=[{{input: {sample}, expected: [0.5, ok]}}]"
    deployed = stack.upload_model(version, *ECHO, samples)
    assert deployed.returncode == 0, deployed.stderr


class Echoes:
    """Answers that were right, by version."""

    def __init__(self, url: str) -> None:
        self.versions: list[str] = []
        self._url = url

    def send_until(self, stop: Event) -> None:
        """One request after the other; raises at the first that is not answered right."""
        paths = ("/predictions/echo", "/predict?model=echo")
        while not stop.wait(PAUSE_S):
            number = len(self.versions)
            answer = HTTP.post(f"{self._url}{paths[number % 2]}", json={"body": [number]}, timeout=30)
            assert (answer.status_code, answer.json()) == (200, [number]), answer.text
            self.versions.append(answer.headers["x-model-version"])


@contextlib.contextmanager
def echo_load(url: str) -> Iterator[Echoes]:
    """Requests for echo in the background; at the end each was answered right."""
    echoes, stop = Echoes(url), Event()
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(echoes.send_until, stop)
        try:
            yield echoes
        finally:
            stop.set()
            sending.result()


def test_a_deploy_of_either_model_disturbs_neither(stack: RunningStack) -> None:
    url = stack.settings.gateway.url
    with steady_load(url) as genre, echo_load(url) as echo:
        deploy_echo(stack, "2.0")
        until_undisturbed(genre)
        version = stack.deploy_fresh()
        until_undisturbed(genre)
        seen = len(echo.versions)
        until(lambda: len(echo.versions) >= seen + UNDISTURBED)
    assert set(echo.versions) == {"1.0", "2.0"}
    assert set(genre.versions) == {"1.0", version}


def test_each_model_is_ready_and_listed_by_itself(stack: RunningStack) -> None:
    url = stack.settings.gateway.url
    for model in ("genre", "echo"):
        assert HTTP.get(f"{url}/v2/models/{model}/ready").json() == {"name": model, "ready": True}
    assert HTTP.get(f"{url}/v1/models").json() == {"models": ["echo", "genre"]}
    page = HTTP.get(f"{url}/metrics").text
    for model in ("genre", "echo"):
        assert f'gateway_model_workers{{model="{model}"' in page

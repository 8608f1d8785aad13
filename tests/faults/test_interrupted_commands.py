"""Ctrl-C in the middle of a command prints a word, exits with 130 and undoes the steps so far."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import httpx
import pytest

from tests.fake_torchserve import FakeTorchServe, described, error, listening, version
from tests.processes import until
from tests.small_archive import small_archive
from tests.unit.test_deployment_record import VERSION
from torchserve_gateway.record.record import DeployedModel, DeploymentRecord
from torchserve_gateway.record.reports import GatewayReport, report_of
from torchserve_gateway.settings.composition import PROJECT_ROOT
from torchserve_gateway.terminal.interruption import INTERRUPTED, ended_by_ctrl_c

SLOW_REGISTRATION_S = 1.0


class TorchServeInProgress:
    """pets 0.9 serves; a new version is registered slowly, or its workers load without end."""

    def __init__(self, *, ready: bool) -> None:
        self.versions = {"0.9": True}
        self.asked, self.registered = Event(), Event()
        self._ready = ready

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        method, path = request.method, request.url.path
        if method == "POST":
            self.asked.set()
            # TorchServe finishes a registration whose caller is gone.
            await asyncio.sleep(SLOW_REGISTRATION_S)
            self.versions["1.0"] = self._ready
            self.registered.set()
        if method == "DELETE":
            del self.versions[path.rsplit("/", 1)[-1]]
        if method != "GET" or path == "/ping":
            return httpx.Response(200, json={"status": "done"})
        name = path.rsplit("/", 1)[-1]
        wanted = self.versions if name == "all" else [name] if name in self.versions else ["0.9"]
        return described(*(version(each, ready=2 * self.versions[each], workers=2) for each in wanted))


def interrupted(
    torchserve: TorchServeInProgress, directory: Path, *extra: str, when: Event | None = None
) -> tuple[dict[str, object], str]:
    """A deploy of pets 1.0 that gets a Ctrl-C; its JSON and what it says."""
    archive = small_archive(directory, "pets", "")
    record = DeploymentRecord(directory / "deployments")
    record.directory.mkdir(exist_ok=True)
    record.write("pets", DeployedModel(serving=VERSION.model_copy(update={"version": "0.9"})))
    fake = FakeTorchServe(torchserve)
    with listening(fake) as inference, listening(fake) as management:
        command = [
            *(sys.executable, "-m", "torchserve_gateway", "deploy", "--json", "model=foreign"),
            *(f'archive_source.path="{archive}"', "model.name=pets", 'model.version="1.0"'),
            *(f"torchserve.inference_url={inference}", f"torchserve.management_url={management}"),
            *(f"torchserve.model_store={directory}/store", f"torchserve.deployments_dir={record.directory}"),
            *(f"torchserve.key_file={directory}/none.json", "torchserve.log_dir=null", *extra),
        ]
        process = subprocess.Popen(
            command, cwd=PROJECT_ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        asked = when or torchserve.asked
        until(lambda: asked.is_set() or process.poll() is not None)
        process.send_signal(signal.SIGINT)
        printed, said = process.communicate(timeout=60)
        until(torchserve.registered.is_set)
    assert process.returncode == INTERRUPTED, said
    assert said.splitlines()[-1] == "interrupted"
    assert "Traceback" not in said
    assert list(torchserve.versions) == ["0.9"]
    assert sorted(each.name for each in record.directory.glob("*.json")) == ["deployed.json"]
    assert record.read().models["pets"].trial is None
    assert list((directory / "store").iterdir()) == []
    return json.loads(printed), said


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["registering", "loading"])
def test_a_deploy_leaves_no_half_registered_version(stage: str, tmp_path: Path) -> None:
    torchserve, loading = TorchServeInProgress(ready=False), Event()
    with follow(lambda: "1.0" in torchserve.versions, loading):
        when = loading if stage == "loading" else None
        outcome, said = interrupted(torchserve, tmp_path, when=when)
    assert "removing pets 1.0" in said
    assert outcome.pop("seconds")
    assert outcome == {
        "model": "pets",
        "version": "1.0",
        "deployed": False,
        "before": "0.9",
        "serving": "0.9",
        "error": "interrupted",
    }


@pytest.mark.slow
def test_a_canary_gives_its_share_back(tmp_path: Path) -> None:
    record, shares = DeploymentRecord(tmp_path / "deployments"), Event()
    sequence = iter(range(10**6))

    def gateway() -> bool:
        """A gateway that follows the record; True once the canary has a share."""
        found = record.read()
        report = GatewayReport(gateway="a", sequence=next(sequence), revision=found.revision, counts={})
        file = report_of(record.directory, "a")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.with_suffix(".part").write_text(report.model_dump_json())
        file.with_suffix(".part").replace(file)
        return bool(found.models and found.models["pets"].trial)

    with follow(gateway, shares):
        canary = ("strategy=canary", "settle_s=0.1")
        _, said = interrupted(TorchServeInProgress(ready=True), tmp_path, *canary, when=shares)
    assert "removing pets 1.0" in said


@pytest.mark.slow
def test_a_load_test_without_an_answer_ends_at_once() -> None:
    async def never(_: httpx.Request) -> httpx.Response:
        asked.set()
        await asyncio.sleep(3600)
        return error(500, "", "")

    asked = Event()
    with listening(FakeTorchServe(never)) as url:
        port = url.rsplit(":", 1)[1]
        process = subprocess.Popen(
            [sys.executable, "stress.py", f"gateway.port={port}", "clients=2"],
            cwd=PROJECT_ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        until(asked.is_set)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said.splitlines()[-1]) == (INTERRUPTED, "interrupted")
    assert "Traceback" not in said


def test_ctrl_c_while_a_command_is_imported_is_one_word(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, ended_by_ctrl_c():
        raise KeyboardInterrupt
    assert ended.value.code == INTERRUPTED
    assert capsys.readouterr().err == "interrupted\n"


@contextmanager
def follow(look: Callable[[], bool], reached: Event) -> Iterator[None]:
    """Calls `look` all the time, in a thread; sets the event once it is true."""
    ended = Event()

    def run() -> None:
        while not ended.wait(0.05):
            if look():
                reached.set()

    thread = Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()

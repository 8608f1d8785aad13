"""What TorchServe is started with: closed to others, and with what is deployed."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.test_deployment_record import VERSION
from torchserve_gateway.commands.torchserve import (
    TorchServeStartError,
    log_options,
    provide_kill,
    render_properties,
)
from torchserve_gateway.deployment.archives.model_store import stage, unstage
from torchserve_gateway.deployment.errors import ModelStoreError
from torchserve_gateway.downloads import sha256
from torchserve_gateway.record.record import model_snapshot
from torchserve_gateway.settings.composition import PROJECT_ROOT, load
from torchserve_gateway.settings.local_stack import StackSettings


def properties(*overrides: str) -> dict[str, str]:
    text = render_properties(load("stack", StackSettings, overrides), {})
    return dict(line.split("=", 1) for line in text.splitlines() if line and not line.startswith("#"))


def test_the_committed_configuration_is_closed() -> None:
    rendered = properties()
    for api in ("inference", "management", "metrics"):
        assert rendered[f"{api}_address"].startswith("http://127.0.0.1:")
    for api in ("inference", "management"):
        assert rendered[f"grpc_{api}_address"] == "127.0.0.1"
    assert rendered["allowed_urls"].replace("\\\\", "") == "http://127.0.0.1:5002/files/[A-Za-z0-9_.-]+.mar"
    assert rendered["enable_model_api"] == "true"
    assert rendered["metrics_mode"] == "prometheus"
    assert rendered["disable_token_authorization"] == "true"


@pytest.mark.parametrize(
    ("overrides", "disabled"),
    [
        (["torchserve.inference_url=http://0.0.0.0:8080"], "false"),
        (["torchserve.metrics_url=http://192.168.0.5:8082"], "false"),
        (["torchserve.inference_url=http://localhost:8080"], "true"),
        (["torchserve.token_authorization=true"], "false"),
        (["torchserve.inference_url=http://0.0.0.0:8080", "torchserve.token_authorization=false"], "true"),
    ],
)
def test_tokens_are_on_where_others_reach_torchserve(overrides: list[str], disabled: str) -> None:
    assert properties(*overrides)["disable_token_authorization"] == disabled


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("0", "0"),
        ("1", "1"),
        ("-1", "-1"),
        ("0.5", "0.5"),
        ("false", "false"),
        ("true", "true"),
        ("'0'", "0"),
    ],
)
def test_a_property_is_written_as_it_was_set(value: str, line: str) -> None:
    assert properties(f"+torchserve.properties.number_of_gpu={value}")["number_of_gpu"] == line


@pytest.mark.parametrize(
    ("torchserve", "file"),
    [("local", "log4j2.xml"), ("published", "log4j2.xml"), ("container", "log4j2-console.xml")],
)
def test_the_log_is_configured_by_a_file_of_ours(torchserve: str, file: str) -> None:
    settings = load("stack", StackSettings, [f"torchserve={torchserve}"])
    [option] = log_options(settings.torchserve.log_config, {})
    assert option == f"-Dlog4j.configurationFile={(PROJECT_ROOT / 'config/torchserve' / file).as_uri()}"


def test_a_log_configuration_of_the_user_goes_before_ours(tmp_path: Path) -> None:
    own = tmp_path / "my log.xml"
    own.touch()
    settings = load("stack", StackSettings, [f"torchserve.log_config='{own}'"])
    assert log_options(settings.torchserve.log_config, {}) == [
        f"-Dlog4j.configurationFile=file://{tmp_path}/my%20log.xml"
    ]
    assert log_options(None, {}) == []
    java = {"JAVA_TOOL_OPTIONS": "-Xmx1g -Dlog4j.configurationFile=file:///mine.xml"}
    assert log_options(own, java) == []
    assert log_options(own, {"LOG4J_CONFIGURATION_FILE": "/mine.xml"}) == []
    assert len(log_options(own, {"JAVA_TOOL_OPTIONS": "-Xmx1g"})) == 1


def test_a_log_configuration_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(TorchServeStartError, match=r"torchserve\.log_config is .*none\.xml, which is no"):
        log_options(tmp_path / "none.xml", {})


def test_torchserve_finds_a_kill_program_where_the_machine_has_none(tmp_path: Path) -> None:
    folder = provide_kill(tmp_path / "bin")
    victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    subprocess.run([folder / "kill", "-9", str(victim.pid)], env={"PATH": str(folder)}, check=True)
    assert victim.wait(timeout=30) == -signal.SIGKILL


def test_torchserve_starts_with_the_deployed_version_as_the_default() -> None:
    snapshot = json.loads(model_snapshot({"genre": VERSION}))
    assert snapshot["modelCount"] == 1
    assert snapshot["models"]["genre"]["1.10"]["defaultVersion"] is True
    assert snapshot["models"]["genre"]["1.10"]["marName"] == "genre-1.10.mar"


def test_an_archive_goes_into_the_model_store_once(tmp_path: Path) -> None:
    archive, store = tmp_path / "a-1.mar", tmp_path / "store"
    archive.write_bytes(b"one")
    assert stage(archive, sha256(archive), store).read_bytes() == b"one"
    stage(archive, sha256(archive), store)
    archive.write_bytes(b"two")
    with pytest.raises(ModelStoreError, match=r"another a-1\.mar"):
        stage(archive, sha256(archive), store)
    unstage("a-1.mar", store)
    unstage("a-1.mar", store)
    assert list(store.iterdir()) == []


def test_what_is_staged_is_what_was_verified(tmp_path: Path) -> None:
    archive, store = tmp_path / "a-1.mar", tmp_path / "store"
    archive.write_bytes(b"one")
    verified = sha256(archive)
    archive.write_bytes(b"two")
    with pytest.raises(ModelStoreError, match="was changed while it was deployed"):
        stage(archive, verified, store)
    assert list(store.iterdir()) == []


def test_a_runtime_folder_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    settings = load("stack", StackSettings, [f"state_dir={tmp_path}/var"])
    settings.runtime_dir.symlink_to(tmp_path)
    try:
        with pytest.raises(PermissionError, match="is not ours"):
            settings.make_runtime_dir()
    finally:
        settings.runtime_dir.unlink()
    assert settings.make_runtime_dir().stat().st_mode & 0o777 == 0o700
    settings.runtime_dir.rmdir()

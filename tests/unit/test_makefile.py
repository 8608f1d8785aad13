"""What targets run, without running it."""

import subprocess

import pytest

from torchserve_gateway.settings.composition import PROJECT_ROOT


def commands(target: str, args: str) -> str:
    command = ["make", "-n", target, "VERSION=2.0", f"ARGS={args}"]
    return subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("args", ["", "archive_source=file_browser", "strategy=canary strategy.steps=[1,50]"])
def test_upload_model_is_one_command_with_all_settings(args: str) -> None:
    printed = commands("upload_model", args)
    assert f"upload_model.py model=genre 'model.version=\"2.0\"' {args}" in printed
    assert "generate_mar" not in printed


@pytest.mark.parametrize(
    ("target", "source"), [("compose_upload_model", "file_browser"), ("run_ts_upload_model", "model_mars")]
)
def test_the_container_deploys_the_archive_that_was_built_outside(target: str, source: str) -> None:
    built, _, deployed = commands(target, "strategy=canary").partition("generate_mar")
    assert "download_weights model=genre" in built
    assert "model=genre 'model.version=\"2.0\"' strategy=canary" in deployed
    assert f"archive_source={source} model=genre 'model.version=\"2.0\"' strategy=canary" in deployed


def test_a_key_is_made_for_the_named_caller_with_the_settings_of_every_target() -> None:
    command = ["make", "-n", "api_key", "NAME=app", "RIGHTS=predict,models", "ARGS=gateway=mine"]
    printed = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=True).stdout
    assert "-m torchserve_gateway.commands.api_key app --rights=predict,models gateway=mine" in " ".join(
        printed.split()
    )
    command[-1] = "REVOKE=old"
    printed = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=True).stdout
    assert "--revoke=old" in printed

"""What targets run, without running it."""

import subprocess

import pytest

from torchserve_gateway.settings.composition import PROJECT_ROOT


def commands(args: str) -> str:
    command = ["make", "-n", "upload_model", "VERSION=2.0", f"ARGS={args}"]
    return subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    "args",
    [
        "archive_source=file_browser",
        "archive_source.url=s3://models/genre-2.0.mar archive_source.sha256=0",
        "'archive_source.url=\"s3://models/genre-2.0.mar?versionId=1\"'",
        "request_params.url=genre-2.0.mar",
    ],
)
def test_an_archive_that_is_named_is_not_built(args: str) -> None:
    assert "generate_mar" not in commands(args)
    assert f"upload_model.py model=genre 'model.version=\"2.0\"' {args}" in commands(args)


@pytest.mark.parametrize("args", ["", "torchserve.management_url=http://127.0.0.1:1"])
def test_otherwise_it_is_built_with_the_same_settings(args: str) -> None:
    assert f"generate_mar model=genre 'model.version=\"2.0\"' {args}" in commands(args)


@pytest.mark.parametrize("args", ["strategy=canary strategy.steps=[1,50]", "request_params.batch_size=4"])
def test_settings_of_the_deploy_do_not_reach_the_build(args: str) -> None:
    [build] = [line for line in commands(args).splitlines() if "generate_mar" in line]
    assert args not in build
    assert args in commands(args)


def test_a_key_is_made_for_the_named_caller_with_the_settings_of_every_target() -> None:
    command = ["make", "-n", "api_key", "NAME=app", "RIGHTS=predict,models", "ARGS=gateway=mine"]
    printed = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=True).stdout
    assert "-m torchserve_gateway.commands.api_key app --rights=predict,models gateway=mine" in " ".join(
        printed.split()
    )
    command[-1] = "REVOKE=old"
    printed = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=True).stdout
    assert "--revoke=old" in printed

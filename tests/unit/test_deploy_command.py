"""deploy and rollback before TorchServe is asked: what serves is not replaced by accident."""

from pathlib import Path

import pytest
from typer.testing import Result

from tests.commands import command
from tests.shown_blocks import assert_same_words, shown_block
from tests.unit.test_deployment_record import VERSION
from torchserve_gateway.record.record import DeployedModel, DeploymentRecord

# A deploy that is not refused ends there.
NO_ARCHIVE = "nonesuch-1.0.mar does not exist"


def on_record(directory: Path, version: str, *arguments: str, name: str = "genre") -> Result:
    """A command where this version serves."""
    serving = VERSION.model_copy(update={"version": version})
    DeploymentRecord(directory).write(name, DeployedModel(serving=serving))
    return command(*arguments, f"torchserve.deployments_dir={directory}")


def deploy(directory: Path, version: str, *overrides: str) -> Result:
    return on_record(directory, version, "deploy", "request_params.url=nonesuch-1.0.mar", *overrides)


def test_a_version_that_nobody_named_does_not_replace_another(tmp_path: Path) -> None:
    result = deploy(tmp_path, "3.0")
    assert result.exit_code == 1
    [line] = result.stderr.splitlines()
    assert_same_words(line, shown_block("docs/deploying.md", "failed: nothing was changed: "))


def test_the_command_that_helps_has_the_name_at_torchserve(tmp_path: Path) -> None:
    named = "served_model.model_name=posters"
    url = "request_params.url=nonesuch-1.0.mar"
    line = on_record(tmp_path, "3.0", "deploy", url, named, name="posters").stderr
    assert "nothing was changed: posters 3.0 serves" in line
    assert f"make upload_model MODEL=genre VERSION=1.0 ARGS={named} deploys" in line
    assert line.endswith(f"model.version='\"1.0\"' {named}\n")


def test_the_demo_keeps_what_serves(tmp_path: Path) -> None:
    result = deploy(tmp_path, "3.0", "if_another_serves=keep")
    assert (result.exit_code, result.stdout) == (0, "genre 3.0 serves\n")
    lines = shown_block("README.md", "$ make demo").splitlines()
    assert_same_words(result.stdout, next(line for line in lines if line.startswith("genre ")))


@pytest.mark.parametrize(
    ("serving", "overrides"),
    [
        ("3.0", ['model.version="1.0"']),
        ("3.0", ['++model.version="1.0"', "if_another_serves=keep"]),
        ("1.0", []),
        ("1.0", ["if_another_serves=keep"]),
        ("3.0", ["served_model.model_name=posters"]),
    ],
    ids=["named", "named for the demo", "the same serves", "the same for the demo", "another name"],
)
def test_a_version_that_was_named_or_serves_is_deployed(
    tmp_path: Path, serving: str, overrides: list[str]
) -> None:
    result = deploy(tmp_path, serving, *overrides)
    assert result.exit_code == 1
    assert NO_ARCHIVE in result.stderr


def test_a_rollback_of_a_model_that_is_not_deployed_says_what_is(tmp_path: Path) -> None:
    result = on_record(tmp_path, "3.0", "rollback", name="posters")
    assert result.exit_code == 1
    assert "there is no version of genre: deployed: posters 3.0; " in result.stderr
    assert "served_model.model_name=" in result.stderr
    own = on_record(tmp_path, "3.0", "rollback", "served_model.model_name=posters", name="posters")
    assert "there is no version of posters before the serving version" in own.stderr

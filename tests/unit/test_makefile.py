"""Commands of targets, without running them."""

import re
import subprocess

import pytest

from torchserve_gateway.settings.composition import PROJECT_ROOT


def printed(*arguments: str) -> str:
    """The commands of a target, whitespace as single spaces."""
    return " ".join(made("-n", *arguments).split())


def made(*arguments: str) -> str:
    """Output of make, also of a make that runs the tests."""
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    "args",
    ["", "archive_source=file_browser", "'archive_source.url=\"s3://models/genre-2.0.mar?versionId=1\"'"],
)
def test_upload_model_is_one_command_with_all_settings(args: str) -> None:
    commands = printed("upload_model", "VERSION=2.0", f"ARGS={args}")
    assert f"-m torchserve_gateway deploy model=genre 'model.version=\"2.0\"' {args}".rstrip() in commands
    assert "generate-mar" not in commands


def test_an_archive_of_others_needs_no_settings() -> None:
    assert printed("upload_model", "MAR=../their s.mar").endswith(
        "deploy 'archive_source.path=\"../their s.mar\"'"
    )
    named = printed("upload_model", "MAR=theirs.mar", "NAME=pets", "VERSION=2.0", "MODEL=mine")
    assert "model.name=pets model=mine 'model.version=\"2.0\"'" in named
    assert "rollback model=foreign model.name=pets" in printed("rollback", "NAME=pets")


def test_without_version_the_command_knows_that_none_was_given() -> None:
    assert "-m torchserve_gateway deploy model=genre\n" in printed("upload_model") + "\n"
    assert "-m torchserve_gateway deploy model=genre if_another_serves=keep" in printed("demo")
    assert "deploy model=genre 'model.version=\"2.0\"' if_another_serves" in printed("demo", "VERSION=2.0")


def test_the_demo_shows_two_models_unless_others_are_named() -> None:
    commands = printed("demo", "VERSION=2.0", "ARGS=gateway.port=6003 model.batch_size=2")
    both = "model=genre 'gateway.models=[genre,imagenet]' gateway.port=6003"
    assert f"up --keep-models {both}" in commands
    assert f"demo {both}" in commands
    version = "'model.version=\"2.0\"' if_another_serves=keep"
    assert f"deploy model=genre {version} gateway.port=6003 model" in commands
    assert "for model in imagenet; do" in commands
    assert "model.workers=1 if_another_serves=keep gateway.port=6003 done" in commands
    chosen = printed("demo", "MODEL=imagenet")
    assert "for model in ; do" in chosen
    build = "-m examples.imagenet.build model=imagenet"
    deploy = "deploy model=imagenet if_another_serves=keep"
    assert chosen.index(build) < chosen.index(deploy) < chosen.index("demo model=imagenet")
    others = printed("demo", "MODELS=digits,iris")
    assert "deploy model=digits if_another_serves=keep for model in iris; do" in others
    assert others.endswith("demo model=digits 'gateway.models=[digits,iris]'")


def test_files_to_record_are_one_list() -> None:
    commands = printed("record_samples", "MODEL=pets", "INPUTS=cat.jpg dog.jpg")
    assert commands.endswith("model=pets write=config/model/pets.yaml 'inputs=[cat.jpg,dog.jpg]'")
    assert "inputs" not in printed("record_samples")


@pytest.mark.parametrize(
    ("target", "source"), [("compose_upload_model", "file_browser"), ("run_ts_upload_model", "model_mars")]
)
def test_the_container_deploys_the_archive_that_was_built_outside(target: str, source: str) -> None:
    commands = printed(target, "VERSION=2.0", "ARGS=strategy=canary")
    _, built, deployed = commands.partition("-m torchserve_gateway generate-mar model=genre")
    assert built
    assert f"archive_source={source} model=genre 'model.version=\"2.0\"' strategy=canary" in deployed


def test_tune_has_its_bounds_as_arguments() -> None:
    assert printed("tune").endswith("-m torchserve_gateway tune model=genre")
    bounded = printed("tune", "P99_MS=80", "BUDGET_S=60", "TRIALS=3", "WRITE=1", "ARGS=fresh=true")
    assert (
        "tune model=genre p99_ms=80 budget_s=60 trials=3 write=config/model/genre.yaml fresh=true" in bounded
    )


@pytest.mark.parametrize("target", ["run_ts_cpu", "run_ts_cuda"])
def test_a_stopped_container_is_no_error_of_make(target: str) -> None:
    assert " tools/foreground.py podman run --rm --name torchserve" in printed(
        target, "CONTAINER_ENGINE=podman"
    )


@pytest.mark.parametrize("target", ["up", "run_app"])
def test_several_models_are_served_with_the_first_as_default(target: str) -> None:
    several = printed(target, "MODELS=genre,imagenet,digits", "ARGS=gateway.port=6003")
    assert "model=genre 'gateway.models=[genre,imagenet,digits]' gateway.port=6003" in several
    for one in ("MODEL=pets", "MODELS=pets"):
        assert printed(target, one).endswith(f"{target.removeprefix('run_')} model=pets")


def test_containers_serve_several_models_and_the_first_is_deployed() -> None:
    several = printed("compose_up", "MODELS=digits,genre", "CONTAINER_ENGINE=podman")
    assert "generate-mar model=digits" in several
    assert "MODEL=digits MODELS=digits,genre podman-compose" in several
    assert "archive_source=file_browser model=digits if_another_serves=keep" in several
    one = printed("compose_up", "MODEL=pets", "CONTAINER_ENGINE=podman")
    assert "MODEL=pets MODELS=pets podman-compose" in one


def test_a_key_is_made_for_the_named_caller_with_the_settings_of_every_target() -> None:
    commands = printed("api_key", "NAME=app", "RIGHTS=predict,models", "ARGS=gateway=mine")
    assert "-m torchserve_gateway key app --rights predict,models gateway=mine" in commands
    assert "--revoke old" in printed("api_key", "NAME=app", "REVOKE=old")


def test_the_tutorials_parameters_reach_the_deploy() -> None:
    commands = printed("register-model", "model_name=digits", "model_version=1.1", "num_workers=4")
    assert "deploy model=digits 'model.version=\"1.1\"' archive_source=model_mars model.workers=4" in commands
    assert commands.endswith("torchserve.management_url=http://127.0.0.1:8081")
    elsewhere = printed(
        "register-model", "tserve_url=localhost", "models_port=9081", "model_url=http://a/b.mar"
    )
    assert "'archive_source.url=\"http://a/b.mar\"'" in elsewhere
    assert elsewhere.endswith("torchserve.management_url=http://localhost:9081")
    version = "model_version=1.0"
    made = printed("mar", "model_name=digits", version)
    assert made.endswith("generate-mar model=digits 'model.version=\"1.0\"'")
    # A command without a version must not replace another version.
    assert "model.version" not in elsewhere


def test_targets_of_the_tutorials_page_exist() -> None:
    made = (PROJECT_ROOT / "Makefile").read_text()
    named = set(re.findall(r"`make ([a-z0-9_-]+)", (PROJECT_ROOT / "docs/tutorials.md").read_text()))
    # The tutorial's own, with an equivalent beside them.
    theirs = {"docker-run"}
    assert {name for name in named - theirs if not re.search(rf"^{name}:", made, re.MULTILINE)} == set()


def test_every_target_is_listed_once_under_a_heading() -> None:
    groups = {
        heading: re.findall(r"^  ([a-z0-9_-]+) +\S", "\n".join(targets), re.MULTILINE)
        for heading, *targets in (group.splitlines() for group in made("help").split("\n\n"))
    }
    assert next(iter(groups.items())) == ("Start", ["help", "install", "install_engines", "demo"])
    assert all(groups.values())
    makefile = (PROJECT_ROOT / "Makefile").read_text()
    described = re.findall(r"^([a-z0-9_-]+):.*## ", makefile, re.MULTILINE)
    assert sorted(name for names in groups.values() for name in names) == sorted(described)

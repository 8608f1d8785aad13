"""make upload_model MAR=theirs.mar: name, version and parameters are the archive's own."""

import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.commands import command
from tests.unit.test_deployment_record import VERSION
from torchserve_gateway.commands.migration.archive_overrides import with_archive_settings
from torchserve_gateway.deployment.archives.foreign import described, foreign_archive
from torchserve_gateway.deployment.errors import ArchiveRefusedError
from torchserve_gateway.deployment.plan import upload_plan
from torchserve_gateway.downloads import sha256
from torchserve_gateway.record.record import DeployedModel, DeploymentRecord
from torchserve_gateway.settings.composition import load
from torchserve_gateway.settings.deployment import SwapSettings, UploadSettings


def archive(file: Path, config: dict[str, Any] | None = None, **model: Any) -> Path:
    """A model archive with these entries in its manifest."""
    manifest = {"modelName": "pets", "modelVersion": "2.1", "handler": "image_classifier", **model}
    if config is not None:
        manifest["configFile"] = "model-config.yaml"
    with zipfile.ZipFile(file, "w") as packed:
        content = {key: value for key, value in manifest.items() if value is not None}
        packed.writestr("MAR-INF/MANIFEST.json", json.dumps({"runtime": "python", "model": content}))
        packed.writestr("model.pt", b"weights")
        if config is not None:
            packed.writestr("model-config.yaml", json.dumps(config))
    return file


def upload(file: Path, *overrides: str) -> UploadSettings:
    """Settings of its deploy, in a folder without a record."""
    chosen = [f"archive_source.path='{file}'", f"torchserve.deployments_dir={file.parent}/record", *overrides]
    return load("upload", UploadSettings, with_archive_settings(chosen))


def test_name_and_version_are_those_of_the_manifest(tmp_path: Path) -> None:
    settings = upload(archive(tmp_path / "a, file.mar"))
    assert (settings.served_model.model_name, settings.model.version) == ("pets", "2.1")
    # TorchServe's own defaults: the handler may not know batches.
    assert (settings.request_params.batch_size, settings.request_params.response_timeout) == (1, 120)
    assert settings.model.samples == []
    assert settings.model.labels == []


def test_model_config_yaml_sets_the_parameters_and_overrides_win(tmp_path: Path) -> None:
    config = {"batchSize": 4, "maxBatchDelay": 50, "minWorkers": 3, "maxWorkers": 3, "responseTimeout": 60}
    file = archive(tmp_path / "theirs.mar", config)
    params = upload(file).request_params
    assert (params.batch_size, params.max_batch_delay, params.initial_workers) == (4, 50, 3)
    assert params.response_timeout == 60
    assert upload(file, "model.batch_size=2").request_params.batch_size == 2
    named = upload(file, "model.name=cats", 'model.version="3.0"')
    assert (named.served_model.model_name, named.model.version) == ("cats", "3.0")


def test_other_parameters_are_those_of_the_version_that_serves(tmp_path: Path) -> None:
    serving = VERSION.model_copy(update={"idempotent": False, "response_timeout": 77})
    DeploymentRecord(tmp_path / "record").directory.mkdir()
    DeploymentRecord(tmp_path / "record").write("pets", DeployedModel(serving=serving))
    settings = upload(archive(tmp_path / "theirs.mar", {"batchSize": 4}))
    params = settings.request_params
    assert (params.batch_size, params.max_batch_delay, params.initial_workers) == (4, 20, 2)
    assert (params.response_timeout, settings.model.idempotent) == (77, False)


def test_a_model_of_ours_keeps_its_own_settings(tmp_path: Path) -> None:
    settings = upload(archive(tmp_path / "genre.mar"), "model=genre")
    assert (settings.served_model.model_name, settings.model.version) == ("genre", "1.0")
    assert settings.model.samples


def test_commands_about_a_model_without_a_file_name_it() -> None:
    settings = load("rollback", SwapSettings, ["model=foreign", "model.name=pets"])
    assert settings.served_model.model_name == "pets"


def test_the_archive_is_taken_as_it_is_under_a_name_of_its_version(tmp_path: Path) -> None:
    file = archive(tmp_path / "theirs.mar")
    with foreign_archive(file, "pets", "2.1", sha256(file)) as found:
        assert (found.name, found.source, found.sha256) == ("pets-2.1.mar", "theirs.mar", sha256(file))
        assert found.file
        assert found.file.read_bytes() == file.read_bytes()
    assert not found.file.exists()


@pytest.mark.parametrize(
    ("handler", "images"), [("image_classifier", True), ("text_classifier", False), ("handler.py", False)]
)
def test_an_archive_of_others_takes_images_if_its_handler_is_known_to(
    tmp_path: Path, handler: str, images: bool
) -> None:
    file = archive(tmp_path / "theirs.mar", handler=handler)
    with foreign_archive(file, "pets", "2.1", None) as found:
        assert upload_plan(upload(file), found).wanted.takes_images is images
    with zipfile.ZipFile(file, "a") as ours:
        ours.writestr("preprocessing.json", "{}")
    with foreign_archive(file, "pets", "2.1", None) as found:
        assert upload_plan(upload(file), found).wanted.takes_images is True


@pytest.mark.parametrize("own", [None, "1.0", 1.0])
def test_another_version_is_written_into_a_copy(tmp_path: Path, own: object) -> None:
    file = archive(tmp_path / "theirs.mar", {"batchSize": 4}, modelVersion=own)
    with foreign_archive(file, "pets", "2.0", sha256(file)) as found:
        assert found.file
        copied = described(found.file)
        with zipfile.ZipFile(found.file) as copy:
            assert copy.read("model.pt") == b"weights"
    assert (copied.name, copied.version) == ("pets", "2.0")
    assert copied.config
    assert copied.config.batch_size == 4


def test_a_checksum_is_that_of_the_file_as_it_came(tmp_path: Path) -> None:
    file = archive(tmp_path / "theirs.mar")
    for version in ("2.1", "3.0"):
        wrong = foreign_archive(file, "pets", version, "0" * 64)
        with pytest.raises(ArchiveRefusedError, match="expected is 0000"), wrong:
            pass


def tgz(directory: Path) -> Path:
    with tarfile.open(directory / "theirs.tar.gz", "w:gz"):
        pass
    return directory / "theirs.tar.gz"


def folder(directory: Path) -> Path:
    (directory / "theirs" / "MAR-INF").mkdir(parents=True)
    return directory / "theirs"


def rubbish(directory: Path) -> Path:
    (directory / "theirs.mar").write_bytes(b"<html>")
    return directory / "theirs.mar"


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (tgz, "--archive-format tgz); pack it as .mar first: tar -xzf"),
        (folder, "--archive-format no-archive); pack it first: python3 -m zipfile -c theirs.mar"),
        (rubbish, "is no model archive"),
        (lambda directory: directory / "nonesuch.mar", "nonesuch.mar does not exist"),
        (
            lambda directory: archive(directory / "a.mar", modelVersion=None),
            "no modelVersion, which TorchServe",
        ),
        (lambda directory: archive(directory / "a.mar", modelName=None), "no modelName; give NAME="),
        (lambda directory: archive(directory / "a.mar", modelName="../x"), "../x"),
        (lambda directory: archive(directory / "a.mar", modelVersion="1 beta"), "1 beta"),
    ],
)
def test_what_cannot_be_deployed_is_one_line(made: Any, said: str, tmp_path: Path) -> None:
    result = command(
        "deploy", f"archive_source.path='{made(tmp_path)}'", f"torchserve.deployments_dir={tmp_path}"
    )
    assert result.exit_code in (1, 2)
    [line] = result.stderr.splitlines()
    assert said in line


def test_a_model_without_parts_is_not_built(tmp_path: Path) -> None:
    result = command("deploy", "model=foreign", "model.name=pets", f"torchserve.deployments_dir={tmp_path}")
    assert result.exit_code == 1
    assert "pets has no parts to build from; name an archive: MAR=theirs.mar" in result.stderr


def test_an_archive_needs_a_store_on_this_disk(tmp_path: Path) -> None:
    file = archive(tmp_path / "theirs.mar")
    overrides = (f"torchserve.deployments_dir={tmp_path}", "torchserve.model_store=null")
    result = command("deploy", f"archive_source.path={file}", *overrides)
    assert result.exit_code == 1
    assert "torchserve.model_store is null; give a URL" in result.stderr

"""`upload_model` builds the archive itself unless its settings name one."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.composed_settings import load_once
from tests.small_network import small_weights
from torchserve_gateway.commands import download_weights, generate_mar
from torchserve_gateway.deployment.archives.sources import requested_archive
from torchserve_gateway.deployment.errors import ArchiveBuildError, ArchiveRefusedError, ModelStoreError
from torchserve_gateway.settings.archive import BuildSettings
from torchserve_gateway.settings.composition import PROJECT_ROOT, ConfigurationError, load
from torchserve_gateway.settings.deployment import UploadSettings


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Override that takes a small checkpoint."""
    return small_weights(tmp_path_factory.mktemp("checkpoint"))


def settings(directory: Path, *overrides: str) -> UploadSettings:
    return load_once("upload", UploadSettings, [f"model_mars={directory}", *overrides])


def test_an_upload_builds_the_configured_archive(tmp_path: Path, weights: str) -> None:
    with requested_archive(settings(tmp_path, weights, 'model.version="2.0"')) as archive:
        assert archive.file == tmp_path / "genre-2.0.mar"
        assert (archive.source, archive.url) == ("genre-2.0.mar", "genre-2.0.mar")
        assert archive.file.is_file()


def test_a_built_archive_must_have_the_configured_checksum(tmp_path: Path, weights: str) -> None:
    with pytest.raises(ArchiveRefusedError, match="expected is 000"):
        requested_archive(settings(tmp_path, weights, f"archive_source.sha256={'0' * 64}"))


@pytest.mark.parametrize(
    "override", ["archive_source=model_mars", "archive_source.url=x.mar", "request_params.url=x.mar"]
)
def test_a_named_archive_is_not_built(tmp_path: Path, override: str) -> None:
    with pytest.raises(ModelStoreError, match=r"\.mar does not exist"):
        requested_archive(settings(tmp_path, override))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("model.weights.path=/nonesuch.pt", "/nonesuch.pt is missing and model.weights.url is null"),
        ("model.handler=/nonesuch.py", "/nonesuch.py is missing"),
    ],
)
def test_an_archive_that_cannot_be_built_ends_the_deploy(tmp_path: Path, override: str, said: str) -> None:
    with pytest.raises(ArchiveBuildError, match=said):
        requested_archive(settings(tmp_path, override))


def test_force_replaces_an_archive_of_the_same_version(tmp_path: Path, weights: str) -> None:
    (tmp_path / "genre-1.0.mar").write_bytes(b"other")
    with pytest.raises(ArchiveBuildError, match="exists with other content"):
        requested_archive(settings(tmp_path, weights))
    with requested_archive(settings(tmp_path, weights, "force=true")) as archive:
        assert archive.file == tmp_path / "genre-1.0.mar"


def test_without_torch_the_message_says_how_to_name_an_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "ts_serialize.archive", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ArchiveBuildError, match=r"torch is not installed; name an archive: archive_source="):
        requested_archive(settings(tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize(
    "module", ["torchserve_gateway.commands.deploy", "torchserve_gateway.commands.rollback"]
)
def test_a_deploy_of_a_named_archive_needs_no_torch(module: str) -> None:
    code = f"import sys; sys.modules['torch'] = None; import {module}"
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT_ROOT, check=True)


def test_a_build_takes_the_overrides_of_the_deploy(tmp_path: Path) -> None:
    overrides = [f"model_mars={tmp_path}", "strategy=canary", "archive_source=file_browser", "settle_s=1"]
    assert load("upload", BuildSettings, overrides).archive_path == tmp_path / "genre-1.0.mar"
    with pytest.raises(ConfigurationError, match="nonesuch"):
        load("upload", BuildSettings, [*overrides, "nonesuch=1"])


def test_the_build_commands_print_what_they_made(
    tmp_path: Path, weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    build = load("upload", BuildSettings, [f"model_mars={tmp_path}", weights])
    download_weights.download_weights(build)
    generate_mar.generate_mar(build)
    assert capsys.readouterr().out == f"{build.model.checkpoint.path}\n{tmp_path}/genre-1.0.mar\n"

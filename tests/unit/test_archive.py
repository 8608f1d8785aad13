"""The archive holds what the worker needs, is the same every time, and its parts fit together."""

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.commands import command
from tests.composed_settings import load_once
from tests.small_network import small_weights
from torchserve_gateway.settings.archive import ArchiveSettings
from torchserve_gateway.settings.composition import PROJECT_ROOT, as_override, load
from ts_serialize.archive import ArchiveError, build_archive

SettingsOf = Callable[..., ArchiveSettings]

PREPROCESSING = "preprocessing.json"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Override that takes a small checkpoint."""
    return small_weights(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="module")
def archive_settings(weights: str) -> SettingsOf:
    """Settings of an archive in a directory, with overrides."""
    return lambda directory, *overrides: load_once(
        "archive", ArchiveSettings, [f"model_mars={directory}", weights, *overrides]
    )


def test_the_archive_holds_handler_checkpoint_labels_and_preprocessing(
    tmp_path: Path, archive_settings: SettingsOf
) -> None:
    settings = archive_settings(tmp_path, 'model.version="2.10"')
    archive = build_archive(settings)
    assert archive.name == "genre-2.10.mar"
    with zipfile.ZipFile(archive) as content:
        manifest = json.loads(content.read("MAR-INF/MANIFEST.json"))
        labels = json.loads(content.read("index_to_name.json"))
        modules = {str(module.relative_to(PROJECT_ROOT)) for module in settings.model.handler_modules}
        assert {"handler.py", "genre.pt", PREPROCESSING, *modules} <= set(content.namelist())
    assert manifest["model"]["modelVersion"] == "2.10"
    assert list(labels.values()) == settings.model.labels


def test_the_handler_is_told_of_cuda_graphs(tmp_path: Path, archive_settings: SettingsOf) -> None:
    made = (tmp_path / "without", ""), (tmp_path / "with", "model.cuda_graphs=true")
    without, asked = (
        json.loads(
            zipfile.ZipFile(build_archive(archive_settings(folder, *each.split()))).read(PREPROCESSING)
        )
        for folder, each in made
    )
    assert asked == {**without, "cuda_graphs": True}


def test_identical_inputs_give_identical_bytes(tmp_path: Path, archive_settings: SettingsOf) -> None:
    first = build_archive(archive_settings(tmp_path / "one")).read_bytes()
    assert build_archive(archive_settings(tmp_path / "two")).read_bytes() == first


def test_paths_may_hold_what_the_archiver_takes_apart(tmp_path: Path, archive_settings: SettingsOf) -> None:
    plain = archive_settings(tmp_path / "plain")
    folder = tmp_path / "my clone, v=1 (it's 100% {ok}) [a] *"
    folder.mkdir()
    checkpoint = shutil.copyfile(plain.model.checkpoint.path, folder / plain.model.checkpoint.path.name)
    odd = load(
        "archive",
        ArchiveSettings,
        [as_override("model_mars", folder), as_override("model.weights.path", checkpoint)],
    )
    assert build_archive(odd).read_bytes() == build_archive(plain).read_bytes()


def test_building_again_changes_nothing(tmp_path: Path, archive_settings: SettingsOf) -> None:
    archive = build_archive(archive_settings(tmp_path))
    before = archive.stat()
    build_archive(archive_settings(tmp_path))
    assert archive.stat().st_mtime_ns == before.st_mtime_ns
    assert sorted(file.name for file in tmp_path.iterdir()) == ["genre-1.0.mar", "genre-1.0.mar.sha256"]


def test_the_checksum_lies_beside_the_archive(tmp_path: Path, archive_settings: SettingsOf) -> None:
    archive = build_archive(archive_settings(tmp_path))
    checksum = tmp_path / "genre-1.0.mar.sha256"
    said = f"{hashlib.sha256(archive.read_bytes()).hexdigest()}  genre-1.0.mar\n"
    assert checksum.read_text() == said
    checksum.unlink()
    build_archive(archive_settings(tmp_path))
    assert checksum.read_text() == said


def test_another_archive_of_the_same_version_is_replaced_only_by_force(
    tmp_path: Path, archive_settings: SettingsOf
) -> None:
    archive = build_archive(archive_settings(tmp_path))
    content = archive.read_bytes()
    other = "model.image.max_pixels=1000"
    with pytest.raises(ArchiveError, match=r"choose another VERSION than 1\.0"):
        build_archive(archive_settings(tmp_path, other))
    assert archive.read_bytes() == content
    build_archive(archive_settings(tmp_path, other, "force=true"))
    assert archive.read_bytes() != content


def test_a_checkpoint_with_other_classes_is_refused(tmp_path: Path, archive_settings: SettingsOf) -> None:
    with pytest.raises(ArchiveError, match=r"answers \(1, 10\) to one image, the 2 labels"):
        build_archive(archive_settings(tmp_path, "model.labels=[A,B]"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("part", ["model.weights.path", "model.handler"])
def test_a_missing_part_is_named(tmp_path: Path, archive_settings: SettingsOf, part: str) -> None:
    with pytest.raises(ArchiveError, match="nonesuch is missing"):
        build_archive(archive_settings(tmp_path, f"{part}={tmp_path}/nonesuch"))


def test_the_command_says_one_line_and_exits_with_1(tmp_path: Path, weights: str) -> None:
    result = command("generate-mar", f"model_mars={tmp_path}", "model.labels=[A,B]", weights)
    assert result.exit_code == 1
    assert result.stderr.startswith("failed: ")
    assert len(result.stderr.splitlines()) == 1

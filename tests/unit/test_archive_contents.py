"""All that torch-model-archiver packs lies where it would put it, or a line says why not."""

import json
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.composed_settings import load_once
from torchserve_gateway.settings.archive import ArchiveSettings
from torchserve_gateway.settings.composition import as_override
from ts_serialize.archive import ArchiveError, build_archive

HANDLER = "def handle(data, context):\n    return data and [1 for _ in data]\n"
NETWORK = "import torch\n\n\nclass Net(torch.nn.Identity): ...\n"
BARE = ("model.name=pets", "model.weights=null", "model.labels=null", "model.image=null", "model.samples=[]")


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)


def settings(folder: Path, *overrides: str, handler: str = HANDLER) -> ArchiveSettings:
    """A model whose handler brings all it needs."""
    write(folder, {"mine.py": handler})
    own = (as_override("model_mars", folder / "mars"), as_override("model.handler", folder / "mine.py"))
    return load_once("archive", ArchiveSettings, [*own, *BARE, *overrides])


def packed(folder: Path, *overrides: str, handler: str = HANDLER) -> dict[str, bytes]:
    """Files of the archive."""
    with zipfile.ZipFile(build_archive(settings(folder, *overrides, handler=handler))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def manifest(files: Mapping[str, bytes]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(files["MAR-INF/MANIFEST.json"])["model"]
    return found


def refused(folder: Path, *overrides: str, handler: str = HANDLER) -> str:
    with pytest.raises(ArchiveError) as caught:
        build_archive(settings(folder, *overrides, handler=handler))
    said = str(caught.value)
    assert len(said.splitlines()) == 1
    assert not (folder / "mars").exists() or list((folder / "mars").iterdir()) == []
    return said


def test_a_handler_alone_is_an_archive(tmp_path: Path) -> None:
    files = packed(tmp_path)
    assert files.keys() == {"MAR-INF/MANIFEST.json", "mine.py"}
    assert manifest(files) == {"modelName": "pets", "modelVersion": "1.0", "handler": "mine.py"}


def test_all_parts_are_packed_as_torch_model_archiver_packs_them(tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    write(
        parts,
        {
            "weights.pth": "state",
            "net.py": NETWORK,
            "mine.py": HANDLER,
            "needs.txt": "humanize",
            "model-config.yaml": "minWorkers: 1",
            "words.json": "[]",
            "folder/config.py": "x = 1",
            "folder/inner/deep.txt": "deep",
            "folder/__pycache__/config.pyc": "cached",
            "folder/.git/HEAD": "hidden",
        },
    )
    own = packed(
        tmp_path,
        f"model.weights={{path: {parts}/weights.pth}}",
        f"model.model_file={parts}/net.py",
        f"model.requirements={parts}/needs.txt",
        f"model.model_config_file={parts}/model-config.yaml",
        f"model.extra_files=[{parts}/words.json,{parts}/folder]",
    )
    options = {
        "model-name": "pets",
        "version": "1.0",
        "handler": parts / "mine.py",
        "serialized-file": parts / "weights.pth",
        "model-file": parts / "net.py",
        "requirements-file": parts / "needs.txt",
        "config-file": parts / "model-config.yaml",
        "extra-files": f"{parts}/words.json,{parts}/folder",
        "export-path": tmp_path,
    }
    arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    archiver = Path(sys.executable).with_name("torch-model-archiver")
    subprocess.run([archiver, *arguments], check=True, capture_output=True)
    with zipfile.ZipFile(tmp_path / "pets.mar") as archive:
        theirs = {name: archive.read(name) for name in archive.namelist()}
    assert own.keys() == theirs.keys()
    assert manifest(own) == manifest(theirs)
    assert all(own[name] == theirs[name] for name in own.keys() - {"MAR-INF/MANIFEST.json"})


def test_identical_parts_give_identical_bytes_wherever_they_lie(tmp_path: Path) -> None:
    archives = []
    for name in ("one", "two, [x] {y}"):
        folder = tmp_path / name
        write(folder, {"extra/b.txt": "b", "extra/a/c.txt": "c", "needs.txt": "humanize"})
        extra = as_override("model.extra_files.0", folder / "extra")
        needs = as_override("model.requirements", folder / "needs.txt")
        archives.append(build_archive(settings(folder, "model.extra_files=['']", extra, needs)).read_bytes())
    assert archives[0] == archives[1]


@pytest.mark.parametrize("suffix", [".pth", ".torchscript", ""])
def test_torchserves_own_handlers_find_torchscript_of_any_name(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"net{suffix}").write_bytes(b"TorchScript")
    weights = f"model.weights={{path: {tmp_path}/net{suffix}}}"
    files = packed(tmp_path, weights, "model.handler=image_classifier", "model.labels=[cat,dog]")
    assert manifest(files)["handler"] == "image_classifier"
    assert manifest(files)["serializedFile"] == "net.pt"
    assert files.keys() == {"MAR-INF/MANIFEST.json", "net.pt", "index_to_name.json"}
    assert json.loads(files["index_to_name.json"]) == {"0": "cat", "1": "dog"}


def test_weights_of_an_own_handler_keep_their_name(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"ONNX")
    files = packed(tmp_path, f"model.weights={{path: {tmp_path}/net.onnx}}")
    assert (manifest(files)["serializedFile"], files["net.onnx"]) == ("net.onnx", b"ONNX")


def test_relative_paths_count_from_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, elsewhere = tmp_path / "work", tmp_path / "elsewhere"
    write(elsewhere, {"words.json": "[]"})
    write(work, {"data/table.csv": "1,2"})
    monkeypatch.chdir(work)
    files = packed(work, f"model.extra_files=[../elsewhere/words.json,{work}/data]")
    assert files.keys() == {"MAR-INF/MANIFEST.json", "mine.py", "words.json", "table.csv"}


@pytest.mark.parametrize(
    "part", ["model_file", "requirements", "model_config_file", "handler", "extra_files.0"]
)
def test_a_part_that_is_missing_is_named_with_its_setting(tmp_path: Path, part: str) -> None:
    said = refused(tmp_path, "model.extra_files=[mine.py]", f"model.{part}={tmp_path}/nonesuch.x")
    assert said.startswith(f"{tmp_path}/nonesuch.x is missing (model.{part.split('.', maxsplit=1)[0]}")


def test_a_folder_is_no_requirements_file(tmp_path: Path) -> None:
    assert f"{tmp_path} is no file (model.requirements)" in refused(
        tmp_path, f"model.requirements={tmp_path}"
    )


def test_two_files_in_one_place_are_named(tmp_path: Path) -> None:
    write(tmp_path, {"a/mine.py": "x = 1", "b/mine.py": HANDLER})
    said = refused(tmp_path, f"model.extra_files=[{tmp_path}/a]")
    assert said == (
        f"{tmp_path}/mine.py and {tmp_path}/a/mine.py would both be mine.py in the archive; rename either"
    )


def test_a_file_of_labels_is_not_packed_beside_the_labels(tmp_path: Path) -> None:
    write(tmp_path, {"index_to_name.json": '{"0": "cat"}'})
    said = refused(tmp_path, "model.labels=[cat]", f"model.extra_files=[{tmp_path}/index_to_name.json]")
    assert "which packing writes itself (from labels or image, or as the manifest); leave it out" in said


def test_a_file_may_be_named_twice(tmp_path: Path) -> None:
    assert "mine.py" in packed(tmp_path, f"model.extra_files=[{tmp_path}/mine.py]")


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path: Path) -> None:
    write(tmp_path, {"a/x/y.txt": "y", "b/x": "x"})
    said = refused(tmp_path, f"model.extra_files=[{tmp_path}/a,{tmp_path}/b]")
    assert f"{tmp_path}/b/x would be x in the archive, the folder of {tmp_path}/a/x/y.txt" in said


def test_links_are_followed_and_circles_refused(tmp_path: Path) -> None:
    write(tmp_path, {"real/words.txt": "words", "extra/a.txt": "a"})
    (tmp_path / "extra" / "linked").symlink_to(tmp_path / "real")
    assert packed(tmp_path, f"model.extra_files=[{tmp_path}/extra]")["linked/words.txt"] == b"words"
    (tmp_path / "extra" / "circle").symlink_to(tmp_path / "extra")
    again = settings(tmp_path, f"model.extra_files=[{tmp_path}/extra]", "force=true")
    with pytest.raises(ArchiveError, match="extra/circle links to a folder above itself"):
        build_archive(again)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def handle(data:\n", "mine.py, line 1: "),
        ("x = 1\0", "mine.py, line 1: source code string cannot contain null bytes"),
        ("x = 1\n", "has neither a class nor a function handle(data, context)"),
        ("class A: ...\nclass B: ...\n", "has the classes A, B, and TorchServe takes the only class"),
    ],
)
def test_a_handler_that_torchserve_cannot_load_is_named(tmp_path: Path, source: str, said: str) -> None:
    assert said in refused(tmp_path, handler=source)


@pytest.mark.parametrize(
    "source",
    [
        "class A: ...\nclass B: ...\nhandle = B().handle\n",
        "from other import handle\n",
        "class A: ...\nclass B: ...\nif True:\n    handle: object = B().handle\n",
        "from other import *\n",
        "import other\n\nclass A(other.Base): ...\n",
        "try:\n    import fast\nexcept ImportError:\n    class A: ...\n",
    ],
)
def test_a_handler_that_torchserve_loads_is_packed(tmp_path: Path, source: str) -> None:
    assert packed(tmp_path, handler=source)["mine.py"] == source.encode()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("x = 1\n", "net.py has no class, and TorchServe takes the only class of model_file"),
        (f"{NETWORK}class Block: ...\n", "net.py has the classes Net, Block"),
    ],
)
def test_a_model_file_without_a_single_class_is_named(tmp_path: Path, source: str, said: str) -> None:
    write(tmp_path, {"net.py": source})
    assert said in refused(tmp_path, f"model.model_file={tmp_path}/net.py")

"""An archive on another engine answers as its original does, or is not written."""

import importlib
import json
import logging
import shutil
import sys
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch

from tests.archive_worker import BATCH_SIZE, Worker, loaded
from tests.exported_checkpoint import export_checkpoint
from tests.shown_blocks import assert_same_words, quoted_text, shown_block
from torchserve_gateway.deployment.archives.verification import verified
from torchserve_gateway.deployment.errors import ArchiveRefusedError
from torchserve_gateway.record.engine import engine_of
from torchserve_gateway.settings.archive import ArchiveSettings
from torchserve_gateway.settings.composition import as_override, load
from ts_serialize import reduced_precision
from ts_serialize.archive import ArchiveError, build_archive
from ts_serialize.checkpoint import original_network
from ts_serialize.conversion.errors import ConversionError
from ts_serialize.conversion.images import LabelledImage, NetworkInputs
from ts_serialize.conversion.packages import optional_package
from ts_serialize.engines.torch_export_network import TorchExportNetwork
from ts_serialize.engines.torchscript_network import TorchScriptNetwork
from ts_serialize.reduced_precision import computes

PACKAGES = {
    "torchscript": ("torch",),
    "torch_export": ("torch",),
    "openvino": ("openvino",),
    "onnxruntime": ("onnxruntime", "onnx"),
}
# Largest difference of a probability of the demo checkpoint over imgs/.
CHOICES = {
    ("openvino", "fp32"): 1e-5,
    ("openvino", "bf16"): 0.02,
    ("openvino", "int8"): 0.05,
    ("onnxruntime", "fp32"): 1e-5,
    ("torchscript", "bf16"): 0.02,
    ("torch_export", "fp32"): 1e-5,
    ("torch_export", "bf16"): 0.02,
}
SLOW = {("openvino", "int8"), ("torch_export", "bf16")}
PARAMETERS = [
    pytest.param(*choice, id="-".join(choice), marks=[pytest.mark.long] if choice in SLOW else [])
    for choice in CHOICES
]


def needs(engine: str, precision: str) -> None:
    """Skips the test where a package or the precision is missing."""
    packages = (*PACKAGES[engine], *(("nncf",) if precision == "int8" else ()))
    for package in packages:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed; make install_engines")
    if not computes(precision):
        pytest.skip(f"this machine does not compute in {precision}")


def settings(directory: Path, engine: str, precision: str, *overrides: str) -> ArchiveSettings:
    chosen = [f"model.engine={engine}", f"model.precision={precision}"]
    return load("archive", ArchiveSettings, [f"model_mars={directory}", *chosen, *overrides])


def weights_of(engine: str, exported: Path) -> list[str]:
    """The override that gives torch_export a checkpoint in its format."""
    return [as_override("model.weights.path", exported)] if engine == "torch_export" else []


Load = Callable[[Path], Worker]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Load:
    """Unpacks an archive and loads it as a worker of TorchServe does."""

    return lambda archive: loaded(archive, tmp_path / archive.parent.name, monkeypatch)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo checkpoint as a program of torch.export, for batches of any size."""
    return export_checkpoint(tmp_path_factory.mktemp("exported") / "genre.pt2")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, exported: Path) -> Callable[[str, str], Path]:
    """The demo checkpoint's archive on an engine, built once."""
    folder = tmp_path_factory.mktemp("built")

    @cache
    def build(engine: str, precision: str) -> Path:
        needs(engine, precision)
        own = weights_of(engine, exported)
        return build_archive(settings(folder / f"{engine}-{precision}", engine, precision, *own))

    return build


@pytest.mark.parametrize(("engine", "precision"), PARAMETERS)
def test_every_engine_answers_as_the_original_in_batches_of_any_size(
    images: list[Path],
    built: Callable[[str, str], Path],
    served: Load,
    engine: str,
    precision: str,
) -> None:
    original = served(built("torchscript", "fp32"))
    expected = [answer for image in images for answer in original.answers([image])]
    converted = served(built(engine, precision))
    tolerance = CHOICES[engine, precision]
    for size in range(1, BATCH_SIZE + 1):
        given = converted.answers(images[:size])
        for answer, wanted in zip(given, expected, strict=False):
            assert next(iter(answer)) == next(iter(wanted))
            assert answer == pytest.approx(wanted, abs=tolerance)
    [alone] = converted.answers(images[:1])
    assert converted.answers(images[:BATCH_SIZE])[0] == pytest.approx(alone, abs=max(1e-5, tolerance / 4))


@pytest.mark.parametrize(("engine", "precision"), PARAMETERS)
def test_the_archive_holds_its_engine_and_what_the_gate_found(
    built: Callable[[str, str], Path], engine: str, precision: str
) -> None:
    archive = built(engine, precision)
    found = engine_of(archive)
    assert found
    assert (found.engine, found.precision) == (engine, precision)
    assert found.gate
    assert (found.gate.images, found.gate.agreement, found.gate.labelled) == (13, 1.0, 3)
    assert found.gate.accuracy == found.gate.accuracy_of_original == 1.0
    assert str(found).startswith(f"{engine} {precision}, 100.0% of 13 alike, Δp 0.0")
    with zipfile.ZipFile(archive) as content:
        model = json.loads(content.read("MAR-INF/MANIFEST.json"))["model"]
        assert "serializedFile" not in model
        assert {model["modelFile"], "engine.json", "handler.py"} <= set(content.namelist())
        of_torch = engine in ("torchscript", "torch_export")
        assert ("ts_serialize/reduced_precision.py" in content.namelist()) == of_torch
        assert "genre.pt" not in content.namelist()


@pytest.mark.parametrize(("engine", "precision"), PARAMETERS)
def test_identical_inputs_give_identical_bytes(
    tmp_path: Path, built: Callable[[str, str], Path], exported: Path, engine: str, precision: str
) -> None:
    first = built(engine, precision).read_bytes()
    own = weights_of(engine, exported)
    assert build_archive(settings(tmp_path, engine, precision, *own)).read_bytes() == first


def test_an_explanation_needs_no_torchscript(tmp_path: Path, images: list[Path], served: Load) -> None:
    needs("openvino", "fp32")
    worker = served(build_archive(settings(tmp_path, "openvino", "fp32")))
    [explanation] = worker.answers(images[:1], explain=True)
    assert [len(line) for line in explanation["attributions"]] == [8] * 8


def test_the_default_archive_is_the_checkpoint_as_it_is(tmp_path: Path) -> None:
    made = settings(tmp_path, "torchscript", "fp32")
    archive = build_archive(made)
    found = engine_of(archive)
    assert found
    assert (str(found), found.gate) == ("torchscript fp32", None)
    with zipfile.ZipFile(archive) as content:
        assert content.read("genre.pt") == made.model.checkpoint.path.read_bytes()
        assert "modelFile" not in json.loads(content.read("MAR-INF/MANIFEST.json"))["model"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("other", ""),
        ("engine.json", '{"cylinders": 4}'),
        ("engine.json", '{"engine": "[red]x", "precision": "fp32"}'),
        ("engine.json", b"\xff"),
    ],
)
def test_a_foreign_archive_has_no_known_engine(tmp_path: Path, name: str, content: str | bytes) -> None:
    archive = tmp_path / "foreign.mar"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(name, content)
    assert engine_of(archive) is None


def test_a_damaged_description_is_refused_by_the_deployer(tmp_path: Path) -> None:
    archive = tmp_path / "genre-1.0.mar"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("MAR-INF/MANIFEST.json", '{"model": {"modelVersion": "1.0"}}')
        file.writestr("engine.json", '{"engine": "openvino", "precision": "fp32"}')
    archive.write_bytes(archive.read_bytes().replace(b'"openvino"', b'"opensesa"'))
    with pytest.raises(ArchiveRefusedError, match=r"genre-1\.0\.mar is no model archive: Bad CRC"):
        verified(archive, archive.name, "1.0", None)


def test_answers_outside_the_limits_are_refused_with_the_table(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    needs("torchscript", "bf16")
    kept = build_archive(settings(tmp_path, "torchscript", "fp32")).read_bytes()
    strict = settings(tmp_path, "torchscript", "bf16", "model.parity.max_difference=1e-6", "force=true")
    with caplog.at_level(logging.ERROR), pytest.raises(ArchiveError) as caught:
        build_archive(strict)
    said = str(caught.value)
    shown = shown_block("docs/engines.md", "failed: genre-2.0.mar was not written ")
    here = shown.replace("openvino", "torchscript").replace("int8", "bf16")
    assert_same_words(f"failed: {said}", here)
    assert "above model.parity.max_difference = 1e-06" in said
    assert len(said.splitlines()) == 1
    table = caplog.text.splitlines()
    assert any("image" in line and "max |Δp|" in line for line in table)
    assert any(line.startswith("western-2.jpg") for line in table)
    assert (tmp_path / "genre-1.0.mar").read_bytes() == kept


def test_a_label_that_gets_lost_is_a_loss_of_accuracy(tmp_path: Path, images: list[Path]) -> None:
    """bf16 cannot tell logits apart that differ by a thousandth."""
    needs("torchscript", "bf16")
    torch.jit.save(torch.jit.script(NearlyEqual()), tmp_path / "near.pt")
    labelled = tmp_path / "images" / "B"
    labelled.mkdir(parents=True)
    for image in images[:4]:
        shutil.copy(image, labelled)
    sample = f"{{image: '{images[5]}', expected_class: null}}"
    made = settings(
        tmp_path,
        *("torchscript", "bf16"),
        as_override("model.weights.path", tmp_path / "near.pt"),
        "model.labels=[A,B]",
        f"model.samples=[{sample}]",
        as_override("model.calibration_images", tmp_path / "images"),
    )
    with pytest.raises(ArchiveError) as caught:
        build_archive(made)
    assert "the same class is on top of 0.0% of 5 images" in str(caught.value)
    assert "accuracy on 4 labelled images falls from 100.0% to 0.0%" in str(caught.value)
    assert not (tmp_path / "genre-1.0.mar").exists()


class NearlyEqual(torch.nn.Module):
    """Class B is on top by less than bfloat16 resolves."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = torch.nn.Parameter(torch.tensor([1.0, 1.001]))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean((1, 2, 3)).unsqueeze(1) * torch.zeros(2, dtype=images.dtype) + self.bias


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (lambda _: None, "holds no .bmp, .gif"),
        (lambda folder: (folder / "Opera").mkdir(), "the folder 'Opera' is named after none of the labels"),
        (lambda folder: (folder / "bad.jpg").write_bytes(b"no image"), "bad.jpg: "),
    ],
)
def test_images_that_cannot_be_used_are_named(
    tmp_path: Path, images: list[Path], prepare: Callable[[Path], object], said: str
) -> None:
    needs("torchscript", "bf16")
    folder = tmp_path / "images"
    folder.mkdir()
    prepare(folder)
    for directory in folder.glob("*/"):
        if directory.is_dir():
            shutil.copy(images[0], directory)
    with pytest.raises(ArchiveError, match=said):
        build_archive(
            settings(tmp_path, "torchscript", "bf16", as_override("model.calibration_images", folder))
        )


def test_without_images_nothing_is_converted(tmp_path: Path) -> None:
    none = ("model.samples=[]", "model.calibration_images=null")
    with pytest.raises(
        ArchiveError, match=r"no image to compare its answers on: set model\.calibration_images"
    ):
        build_archive(settings(tmp_path, "torchscript", "bf16", *none))


@pytest.mark.parametrize(
    ("engine", "precision", "package"),
    [("openvino", "fp32", "openvino"), ("openvino", "int8", "nncf"), ("onnxruntime", "fp32", "onnxruntime")],
)
def test_a_missing_package_is_a_line_that_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str, precision: str, package: str
) -> None:
    if package == "nncf":
        needs("openvino", "fp32")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ArchiveError) as caught:
        build_archive(settings(tmp_path, engine, precision))
    said = str(caught.value)
    assert f"the package {package} is not installed" in said or "the package onnx is not installed" in said
    assert said.endswith("make install_engines, or pip install 'torchserve-gateway[conversion]'")


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_a_worker_without_the_package_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    monkeypatch.setitem(sys.modules, engine, None)
    monkeypatch.delitem(sys.modules, f"ts_serialize.engines.{engine}_network", raising=False)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'torchserve-gateway\[engines\]'"):
        importlib.import_module(f"ts_serialize.engines.{engine}_network")


@pytest.mark.parametrize(("precision", "name"), [("bf16", "bfloat16"), ("fp16", "float16")])
@pytest.mark.parametrize("engine", ["torchscript", "torch_export"])
def test_a_precision_that_the_machine_lacks_is_refused_and_never_replaced_silently(
    tmp_path: Path,
    exported: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    engine: str,
    precision: str,
    name: str,
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    own = weights_of(engine, exported)
    with pytest.raises(ArchiveError, match=f"neither a processor with {name} instructions nor a GPU"):
        build_archive(settings(tmp_path, engine, precision, *own))
    network = network_of(settings(tmp_path, engine, "fp32", *own), precision, tmp_path)
    assert f"does not compute in {precision}; the model runs in fp32" in caplog.text
    assert network(torch.zeros(2, 3, 192, 128)).shape == (2, 10)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["torchscript", "torch_export"])
def test_fp16_answers_as_the_original(
    tmp_path: Path, exported: Path, images: list[Path], monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    """On the CPU, where torch emulates it where it has to; a GPU does the same arithmetic."""
    monkeypatch.setattr(reduced_precision, "computes", lambda _: True)
    made = settings(tmp_path, engine, "fp32", *weights_of(engine, exported))
    network = network_of(made, "fp16", tmp_path)
    original = original_network(made.model.checkpoint.path, engine)
    batch = torch.stack(NetworkInputs([LabelledImage(each, None) for each in images], made.model)[:])
    with torch.inference_mode():
        wanted, found = (torch.softmax(each(batch), dim=1) for each in (original, network))
    assert found.dtype == torch.float32
    assert 0 < (found - wanted).abs().max() < 0.01


def network_of(made: ArchiveSettings, precision: str, folder: Path) -> torch.nn.Module:
    """The network that a worker loads from an archive of another machine."""
    (folder / "engine.json").write_text(json.dumps({"precision": precision}))
    scripted = made.model.engine == "torchscript"
    shutil.copy(made.model.checkpoint.path, folder / ("network.pt" if scripted else "network.pt2"))
    return TorchScriptNetwork(folder) if scripted else TorchExportNetwork(folder)


def test_openvino_is_refused_a_precision_that_it_would_replace(tmp_path: Path) -> None:
    needs("openvino", "fp32")
    if importlib.import_module("ts_serialize.engines.openvino_network").computes("fp16"):
        pytest.skip("this processor computes in fp16")
    with pytest.raises(ArchiveError, match="OpenVINO does not compute in fp16 on this processor"):
        build_archive(settings(tmp_path, "openvino", "fp16"))


def test_a_network_that_the_engine_cannot_run_is_refused(tmp_path: Path) -> None:
    needs("onnxruntime", "fp32")
    torch.jit.save(torch.jit.script(Searching()), tmp_path / "searching.pt")
    made = settings(
        tmp_path, "onnxruntime", "fp32", as_override("model.weights.path", tmp_path / "searching.pt")
    )
    with pytest.raises(ArchiveError, match="ONNX Runtime cannot run this network: "):
        build_archive(made)


class Searching(torch.nn.Module):
    """Uses an operator that ONNX lacks."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        means = images.mean((2, 3)).repeat(1, 4)[:, :10].contiguous()
        return torch.special.i0e(means)  # type: ignore[no-any-return]


def test_a_program_of_a_fixed_batch_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "fixed.pt2"
    torch.export.save(torch.export.export(Searching(), (torch.zeros(1, 3, 192, 128),)), file)
    with pytest.raises(ArchiveError, match=r"runs on 1 image but not on 8 at once.*dynamic_shapes"):
        build_archive(settings(tmp_path, "torch_export", "fp32", as_override("model.weights.path", file)))


def test_each_format_names_the_engine_that_runs_it(tmp_path: Path, exported: Path) -> None:
    own = as_override("model.weights.path", exported)
    with pytest.raises(
        ArchiveError, match=r"program of torch\.export \(\.pt2\): set model\.engine=torch_export"
    ):
        build_archive(settings(tmp_path, "torchscript", "fp32", own))
    with pytest.raises(
        ArchiveError, match=r"genre\.pt is no program of torch\.export, which engine torch_export"
    ):
        build_archive(settings(tmp_path, "torch_export", "fp32"))


def test_nothing_is_reported_to_the_maker(built: Callable[[str, str], Path]) -> None:
    built("openvino", "fp32")
    assert sys.modules["openvino_telemetry"] is None


def test_workers_are_spared_an_import_of_torchserve() -> None:
    assert sys.modules["openvino.torch"] is None


def test_a_missing_package_is_named_with_its_extra_as_the_page_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.delitem(sys.modules, "ts_serialize.engines.openvino_network", raising=False)
    with pytest.raises(ConversionError) as packing:
        optional_package("openvino")
    with pytest.raises(ModuleNotFoundError) as loading:
        importlib.import_module("ts_serialize.engines.openvino_network")
    for said, text in (
        (packing, "the package openvino is not installed; install the extra conversion: ..."),
        (loading, "this model runs on OpenVINO, which is not installed here; install the extra engines: ..."),
    ):
        assert_same_words(str(said.value), quoted_text("docs/engines.md", text))

"""A machine's engines are measured in turns, and the best within the gate goes into the model's file."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
import yaml

from tests.shown_blocks import assert_same_words, shown_block
from tools.bench import engines
from torchserve_gateway.commands.optimize import OptimizationError, best_of, compare, optimize, write_choice
from torchserve_gateway.settings.composition import as_override, load
from torchserve_gateway.settings.optimization import OptimizeSettings
from ts_serialize.archive_parts import ModelParts
from ts_serialize.conversion.errors import ConversionError
from ts_serialize.conversion.gate import Comparison, Pair
from ts_serialize.conversion.images import LabelledImage
from ts_serialize.conversion.measurement import Candidate
from ts_serialize.conversion.precision import check_precision
from ts_serialize.conversion.source import Source
from ts_serialize.conversion.to_openvino import convert
from ts_serialize.engine_choice import FP16, PRECISIONS, TORCH_EXPORT

BATCH_SIZE = 8


def candidate(engine: str, precision: str, cpu_ms: float, difference: float = 0.0) -> Candidate:
    """A measured network whose answer to an image differs by so much."""
    model = load("optimize", OptimizeSettings).model
    pair = Pair(LabelledImage(Path("a.jpg"), None), ("A", "A"), (0.9, 0.9), difference)
    return Candidate(
        model.model_copy(update={"engine": engine, "precision": precision}),
        torch.nn.Identity(),
        *(1.0, 1.0, Comparison([pair])),
        {1: [cpu_ms], BATCH_SIZE: [cpu_ms]},
    )


DEFAULT = candidate("torchscript", "fp32", 10)


def test_the_fastest_within_the_gate_is_best() -> None:
    within, outside = candidate("openvino", "bf16", 5), candidate("openvino", "int8", 2, difference=0.06)
    assert best_of([DEFAULT, within, outside], BATCH_SIZE, 1.1) is within


def test_a_small_gain_is_not_worth_another_engine() -> None:
    assert best_of([DEFAULT, candidate("onnxruntime", "fp32", 9.5)], BATCH_SIZE, 1.1) is DEFAULT


def without_fp16(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """OpenVINO's refusal of fp16 on a processor without it."""
    # Not openvino itself, which would bring the package that reports to its maker.
    pytest.importorskip(
        "ts_serialize.engines.openvino_network", reason="openvino is not installed; make install_engines"
    )
    monkeypatch.setattr("ts_serialize.engines.openvino_network.computes", lambda _: False)
    with pytest.raises(ConversionError) as refused:
        convert(Source(torch.nn.Identity(), folder, (3, 1, 1), 1, FP16, ()), folder)
    return str(refused.value)


def without_fp16_of_torch(monkeypatch: pytest.MonkeyPatch) -> str:
    """The refusal of fp16 on a machine where torch would emulate it."""
    monkeypatch.setattr("ts_serialize.conversion.precision.computes", lambda _: False)
    with pytest.raises(ConversionError) as refused:
        check_precision(FP16)
    return str(refused.value)


def test_the_bench_prints_tables_as_the_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    emulated = without_fp16_of_torch(monkeypatch)
    refused = [
        f"torchscript fp16: {emulated}",
        f"openvino fp16: {without_fp16(tmp_path, monkeypatch)}",
        f"torch_export fp16: {emulated}",
    ]

    def measured(choices: Sequence[ModelParts], *_: object) -> tuple[list[Candidate], list[str]]:
        scripted = [(each.engine, each.precision) for each in choices if each.precision != FP16]
        exported = [(TORCH_EXPORT, each) for each in PRECISIONS[TORCH_EXPORT] if each != FP16]
        return [candidate(*each, cpu_ms=5) for each in (*scripted, *exported)], refused

    monkeypatch.setattr("torchserve_gateway.commands.optimize.candidates", measured)
    print(engines.heading("AMD EPYC", 9.3, [f"{each} 1.0.0" for each in engines.PACKAGES]))
    for title in (engines.DEMO, engines.RESNET18):
        compare(title, [load("optimize", OptimizeSettings).model], engines.TURNS)
    assert_same_words(capsys.readouterr().out, shown_block("docs/engines.md", "AMD EPYC, 2 cores, "))


def test_the_choice_replaces_both_keys_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "pets.yaml"
    file.write_text(
        "# pets\nname: pets\nengine: torchscript # of the workers\nprecision: fp32\nbatch_size: 8\n"
    )
    write_choice(file, "openvino", "int8")
    assert file.read_text() == (
        "# pets\nname: pets\nengine: openvino # of the workers\nprecision: int8\nbatch_size: 8\n"
    )


def test_the_choice_is_added_to_a_file_that_inherits_it(tmp_path: Path) -> None:
    file = tmp_path / "pets.yaml"
    file.write_text("defaults: [genre, _self_]\nname: pets")
    write_choice(file, "openvino", "bf16")
    assert yaml.safe_load(file.read_text()) == {
        "defaults": ["genre", "_self_"],
        "name": "pets",
        "engine": "openvino",
        "precision": "bf16",
    }
    assert [each.name for each in tmp_path.iterdir()] == ["pets.yaml"]


def test_a_missing_file_is_told_before_anything_is_measured(tmp_path: Path) -> None:
    settings = load("optimize", OptimizeSettings, [as_override("write", tmp_path / "none.yaml")])
    with pytest.raises(OptimizationError, match=r"none\.yaml does not exist"):
        optimize(settings)


def test_a_program_of_torch_export_is_measured_on_its_own_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ts_serialize.conversion.measurement.TURN_S", 0.001)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 10, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
    )
    batch = torch.export.Dim("batch")
    example = (torch.zeros(2, 3, 192, 128),)
    program = torch.export.export(network.eval(), example, dynamic_shapes=({0: batch},))
    torch.export.save(program, tmp_path / "small.pt2")
    weights = as_override("model.weights.path", tmp_path / "small.pt2")
    optimize(load("optimize", OptimizeSettings, ["turns=1", "min_speedup=1000", weights]))
    said = capsys.readouterr().out
    assert "torch_export fp32" in said
    assert "openvino" not in said
    assert "best within the gate: engine=torch_export precision=fp32" in said


@pytest.mark.long
def test_a_model_is_measured_and_its_file_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever is installed: the default is measured, and each missing engine is named with its extra."""
    monkeypatch.setattr("ts_serialize.conversion.measurement.TURN_S", 0.001)
    file = tmp_path / "genre.yaml"
    file.write_text("defaults: [genre, _self_]\n")
    overrides = ["turns=1", "model.calibration_images=null", as_override("write", file)]
    optimize(load("optimize", OptimizeSettings, overrides))
    said = capsys.readouterr().out
    measured = {line.split()[0] + " " + line.split()[1] for line in said.splitlines() if " 1 " in line}
    assert "torchscript fp32" in measured
    for line in said.splitlines():
        if line.startswith("not here: "):
            reasons = ("install", "does not compute", "neither a processor", "set model.calibration_images")
            assert any(reason in line for reason in reasons)
    written = yaml.safe_load(file.read_text())
    assert f"best within the gate: engine={written['engine']} precision={written['precision']}" in said
    assert f"{written['engine']} {written['precision']}" in measured

"""`make bench_gpu`, whose steps also run on the CPU."""

from pathlib import Path

import pytest
import torch

from tools.bench.gpu.__main__ import decoding_lines, main, network_lines, ways
from tools.bench.gpu.decoding import by_handler, on_device
from tools.bench.gpu.networks import measured
from tools.bench.peers.workload import IMAGES
from torchserve_gateway.settings.project import ProjectSettings

EDGE, SIZES, CPU = 32, (1, 4), torch.device("cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main() == 1
    assert capsys.readouterr().err == f"there is no GPU that torch {torch.__version__} can use\n"


@pytest.mark.long
def test_a_row_for_each_way_that_the_device_can_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
    )
    prepared = list(ways(network.eval(), EDGE, max(SIZES), CPU, tmp_path))
    found = list(measured(prepared, torch.zeros(3, EDGE, EDGE), SIZES, CPU))
    heading, *rows = network_lines(found, SIZES)
    assert heading.split() == ["images/s", "in", "batches", "of", "1", "4", "max", "|Δp|"]
    assert [row[:32].strip() for row in rows] == [way.name for way in found]
    assert {"torchscript fp32", "torchscript fp16", "torch_export fp16"} <= {way.name for way in found}
    assert all(way.max_difference < 0.01 for way in found)
    refused = capsys.readouterr().out
    assert "no row torchscript fp16, CUDA graphs: " in refused


def test_both_ways_of_decoding_prepare_the_same_inputs(settings: ProjectSettings) -> None:
    image = settings.model.preprocessing.model_dump() | {"resize": 256, "crop": 224}
    encoded = [file.read_bytes() for file in IMAGES]
    ours, theirs = (prepare(image, CPU)(encoded) for prepare in (by_handler, on_device))
    assert ours.shape == theirs.shape == (len(IMAGES), 3, 224, 224)
    assert (ours - theirs).abs().max() < 0.1
    lines = list(decoding_lines(image, CPU))
    assert [line.split("  ")[0] for line in lines[1:3]] == ["by the handler", "on the device, cpu"]

"""`make bench_gpu`, whose steps also run on the CPU."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tools.bench.gpu.__main__ import main
from tools.bench.gpu.decoding import by_handler, decoding_lines, images_s, on_device
from tools.bench.gpu.load import Answers
from tools.bench.gpu.networks import Preparations, Ways, measured, network_lines
from tools.bench.gpu.served import Served, served_heading, served_line
from tools.bench.peers.machine import CORES, Usage
from tools.bench.peers.workload import IMAGES
from torchserve_gateway.load_test.statistics import Latencies
from torchserve_gateway.settings.project import ProjectSettings

EDGE, SIZES, CPU = 32, (1, 4), torch.device("cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 1
    assert capsys.readouterr().err == f"there is no GPU that torch {torch.__version__} can use\n"


def test_an_unknown_table_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve"]) == 2
    assert capsys.readouterr().err == (
        "there is no table 'serve'; tables: networks, compilers, decoding, served\n"
    )


@pytest.mark.long
@pytest.mark.parametrize(
    ("preparations", "there", "refused"),
    [
        (
            Ways.served,
            {"torchscript fp32", "torchscript fp16", "torch_export fp16"},
            "torchscript fp16, CUDA graphs",
        ),
        (Ways.compiled, {"torchscript fp16"}, ""),
    ],
)
def test_a_row_for_each_way_that_the_device_can_run(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    preparations: Callable[[Ways], Preparations],
    there: set[str],
    refused: str,
) -> None:
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
    )
    ways = Ways(network.eval(), torch.randn(3, EDGE, EDGE), max(SIZES), CPU, tmp_path)
    prepared = list(ways.prepared(preparations(ways)))
    found = list(measured(prepared, ways.reference(), torch.zeros(3, EDGE, EDGE), SIZES, CPU))
    heading, *rows = network_lines(found, SIZES)
    assert heading.split() == ["images/s", "in", "batches", "of", "1", "4", "max", "|Δp|"]
    assert [row[:32].strip() for row in rows] == [way.name for way in found]
    assert there <= {way.name for way in found}
    assert all(way.max_difference < 0.01 for way in found)
    if refused:
        assert f"no row {refused}: " in capsys.readouterr().out


def test_both_ways_of_decoding_prepare_the_same_inputs(settings: ProjectSettings) -> None:
    image = settings.model.preprocessing.model_dump() | {"resize": 256, "crop": 224}
    encoded = [file.read_bytes() for file in IMAGES]
    ours, theirs = (prepare(image, CPU)(encoded) for prepare in (by_handler, on_device))
    assert ours.shape == theirs.shape == (len(IMAGES), 3, 224, 224)
    assert (ours - theirs).abs().max() < 0.1
    lines = list(decoding_lines(image, CPU))
    names = ["on the CPU, 1 thread", f"on the CPU, {CORES} threads", "gpu_decoding"]
    assert [line.split("  ")[0] for line in lines[1:4]] == names
    assert images_s(on_device(image, CPU), torch.nn.Identity(), encoded, 2, CPU) > 0


def test_a_row_of_the_stack_shows_shares_and_ratios() -> None:
    latencies = Latencies()
    for each in range(1, 101):
        latencies.add(each / 1000)
    usage = Usage(seconds=10, servers_s=5 * CORES, client_share=0, others_share=0)
    found = Served(2, 128, Answers(600, latencies, Counter(), 2.5 * CORES), usage, 0.9)
    row = dict(
        zip(
            served_heading().replace("/ ", "/").replace("p99 ms", "p99ms").split(),
            served_line("", found, 1000, 500).split(),
            strict=True,
        )
    )
    assert row == {
        "workers": "2",
        "clients": "128",
        "images/s": "600",
        "p99ms": "99",
        "GPU": "90%",
        "CPU": "50%",
        "load": "25%",
        "/network": "0.60",
        "/in-process": "1.20",
    }

"""Words and columns of the measurements that the pages show; the figures are those of a machine."""

import platform
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.shown_blocks import assert_same_words, shown_block
from tools.bench import load_generator, memory, preprocessing, swaps
from tools.bench.gateway_cost import __main__ as gateway_cost
from tools.bench.gateway_cost import profile
from tools.bench.gpu import __main__ as gpu
from tools.bench.gpu import decoding
from tools.bench.gpu.load import Answers
from tools.bench.gpu.networks import Way, network_lines
from tools.bench.gpu.served import Served, served_heading, served_line
from tools.bench.image_load import __main__ as image_load
from tools.bench.image_load.images import names
from tools.bench.image_load.rounds import Loop, Size
from tools.bench.peers import in_process, table
from tools.bench.peers.contenders import Contender
from tools.bench.peers.load import Load
from tools.bench.peers.machine import Usage
from tools.bench.peers.requests import plain
from tools.bench.torchserve_settings import __main__ as torchserve_settings
from tools.bench.torchserve_settings.variants import variants
from tools.sizing import __main__ as sizing
from tools.sizing.measurement import Saturated
from tools.sizing.settings import ScalingSettings
from tools.sizing.simulation import ServiceTimes
from tools.throwaway_stack import ThrowawayStack
from torchserve_gateway.load_test.images import image_files
from torchserve_gateway.load_test.statistics import Latencies, Tally
from torchserve_gateway.settings.composition import PROJECT_ROOT, load


def tally(**errors: int) -> Tally:
    """A tally with an answer and these failures, `_` for a space."""
    made = Tally(errors=Counter({kind.replace("_", " "): count for kind, count in errors.items()}))
    made.add(0.1, "1.0")
    return made


def test_swaps() -> None:
    failed = (tally(HTTP_404=2), tally(), tally(HTTP_404=4, HTTP_504=1), tally())
    names = 2 * ("naive", "upload_model")
    rows = [swaps.row(20, name, tally(), during, 5.2) for name, during in zip(names, failed, strict=True)]
    page = shown_block("docs/deploying.md", "  req/s  swap ")
    assert_same_words("\n".join([swaps.HEADING, *rows]), page)


def test_memory() -> None:
    page = shown_block("docs/operating.md", "  requests  requests/s ")
    shown = [memory.line(6000, 186.7, (104.5, 247.8, 796.3))] * 3
    ended = Counter({"200": 1, "404": 1, "415": 1, "422": 1, "disconnected": 1})
    end = memory.conclusion(ended, [(1.0, 1.0, 1.0)] * memory.ROWS)
    assert_same_words("\n".join([memory.HEADING, *shown, end]), page)


def test_cost_of_the_gateway() -> None:
    one = gateway_cost
    rows = [
        one.line(name, 2330, 0.436, 0.24) for name in (one.RAW, one.FORM, one.TWO, one.PROXY, one.WITH_NGINX)
    ]
    page = shown_block("docs/performance.md", "16 clients, drama.jpg")
    assert_same_words("\n".join([one.heading(), *rows]), page)


def test_profile_of_the_gateway() -> None:
    page = shown_block("docs/performance.md", "raw image: ")
    parts = sorted([*profile.PARTS, "other"], key=lambda part: page.index(f"  {part} "), reverse=True)
    seconds = Counter({part: 1.0 + place for place, part in enumerate(parts)} | {profile.LOOP: 9.0})
    assert_same_words(profile.table("raw image", 0.3, 0.06, seconds), page)


def test_preprocessing() -> None:
    enlarged = [
        preprocessing.enlarged_name(format_, size)
        for size in preprocessing.SIZES
        for format_ in preprocessing.FORMATS
    ]
    files = [file.name for file in image_files(PROJECT_ROOT / "imgs")]
    rows = [
        preprocessing.row(name, (4.09, 2.1, 1.9), 0.0) for name in (*files, *enlarged, preprocessing.MEAN)
    ]
    page = shown_block("docs/performance.md", "                        torchvision ms ")
    assert_same_words("\n".join([preprocessing.HEADING, *rows]), page)


def test_gpu() -> None:
    page = shown_block("docs/gpu.md", "$ make bench_gpu ")
    first, *_, last = page.splitlines()
    networks = [Way(name, torch.nn.Identity(), {gpu.SERVED_BATCH: [1.0]}) for name in gpu.CHOICES]
    ways = (decoding.ALONE, "on the CPU, 16 threads", "gpu_decoding")
    latencies = Latencies()
    latencies.add(3.1)
    row = Served(16, 1024, Answers(4948, latencies, Counter(), 1.0), Usage(8.0, 1.0, 0.0, 0.0), 0.56)
    names = [choice.name for choice in gpu.SERVED for _ in choice.workers]
    printed = (
        gpu.heading(first.split(";")[0])
        .replace(platform.machine(), "x86_64")
        .replace(torch.__version__, "2.11.0+cu130"),
        *decoding.decoding_table(dict.fromkeys(ways, (0.3, 0.3)), 0.227),
        *network_lines(networks, (gpu.SERVED_BATCH,)),
        served_heading(),
        *(served_line(name, row, 1.0, 1.0) for name in names[: 1 + names.index(re.split("  +", last)[0])]),
    )
    assert_same_words("\n".join(printed), page)


def test_load_generator() -> None:
    printed = load_generator.report(platform.machine(), 0.126, 1.851, 14.9)
    page = shown_block("docs/performance.md", "x86_64, ")
    assert_same_words(printed.replace(platform.machine(), "x86_64"), page)


def contender(name: str, rates: list[float], port: int) -> Contender:
    """A row of the servers side by side."""
    found = Contender(name, Load(port, [], [], plain, 0.0), (1,), is_peer="our" not in name)
    found.rates = rates
    found.cpu_ms, found.client_shares, found.others_shares = [9.8] * 3, [0.01] * 3, [0.01] * 3
    return found


def servers_side_by_side(page: str) -> str:
    """The table of the page's servers, with its best peer and its noisy rows."""
    title, _, *rows = page.splitlines()
    names = [re.split(r"  +", line)[0] for line in rows if re.search(r" \d\.\d\d$", line)]
    best = page.partition("best peer: ")[2].splitlines()[0]
    noisy = page.partition("differ by over 25%: ")[2].partition("\n")[0]
    found = [
        contender(name, [1.0 if name in noisy else 2.0, *[2.01 if name == best else 2.0] * 2], port)
        for port, name in enumerate(names)
    ]
    return "\n".join([*table.lines(title, found), in_process.line([9.1], [3.9])])


def test_servers_side_by_side() -> None:
    for page in (
        shown_block("docs/performance.md", "demo checkpoint"),
        shown_block("docs/performance.md", "ResNet-18, random weights"),
    ):
        assert_same_words(servers_side_by_side(page), page)


def test_image_sizes_under_load() -> None:
    page = shown_block("docs/performance.md", "demo model, 3 rounds")
    sizes = []
    for name in names():
        usage = Usage(4.0, 1.0, 0.05, 0.01)
        loop = Loop(tally(), [224.7], [usage], [4.8])
        loop.tally.errors.clear()
        sizes.append(Size(name, [], 0.02, loop, loop))
    assert_same_words("\n".join([image_load.heading(), *image_load.lines(sizes)]), page)


def test_settings_of_torchserve(tmp_path: Path) -> None:
    page = shown_block("docs/performance.md", "demo model, a worker each")
    figures = [[1.0]] * 6
    stack = ThrowawayStack(tmp_path, ())
    rows = [torchserve_settings.Row(each, stack, [], 1, tally(), *figures) for each in variants(tmp_path)]
    for row in rows:
        row.tally.errors.clear()
    printed = "\n".join([torchserve_settings.heading(), *torchserve_settings.table(rows)])
    assert_same_words(printed.replace("WARNING: too noisy a machine: ", ""), page)


def test_scaling(capsys: pytest.CaptureFixture[str]) -> None:
    settings = load("scaling", ScalingSettings).model_copy(update={"simulated_requests": 100})
    cpu_s = {"gateway": 0.00153, "torchserve": 0.00051, "worker": 0.00283}
    saturated = Saturated(290, cpu_s, np.array([0.02]))
    batch_s = tuple(np.linspace(0.0104, 0.027, settings.model.batch_size))
    times = ServiceTimes(cpu_s["gateway"], batch_s, (1.0,), 0)
    sizing.show_measured(saturated, times)
    print(sizing.COMPARISON)
    percentiles = np.array([35.9, 57.5, 83.8])
    for share in settings.loads:
        print(sizing.compared(share * 290, share, percentiles, percentiles))
    print(sizing.mean_error(np.zeros((1, 3))))
    sizing.predict(settings, saturated, times)
    assert_same_words(capsys.readouterr().out, shown_block("docs/scaling.md", "one worker, 32 closed-loop"))

"""Starts all servers of a workload, compares their answers, measures them in turns, prints a table.

`python -m tools.bench.peers resnet18`: that workload alone.
"""

import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from time import monotonic

from tools.bench.peers import our_stacks
from tools.bench.peers.contenders import PEERS, Contender, Peer, small_proxy
from tools.bench.peers.environments import NotInstalledError
from tools.bench.peers.in_process import InProcess, line
from tools.bench.peers.load import WrongAnswerError
from tools.bench.peers.machine import described
from tools.bench.peers.process_tree import NotStartedError, undisturbed_cleanup
from tools.bench.peers.rounds import CLIENTS, ROUND_S, ROUNDS, checked, play
from tools.bench.peers.table import lines
from tools.bench.peers.workload import IMAGES, WITHIN_GATE, WORKLOADS, Workload
from tools.throwaway_stack import StackCommandError
from torchserve_gateway.settings.composition import PROJECT_ROOT

SAME_FILE = "ours, torchscript fp32"
# Peers that get our engine, too.
RIVALS = 2


def start_peer(
    peer: Peer, cleanup: ExitStack, workload: Workload, folder: Path, title: str = ""
) -> list[Contender]:
    """Starts a peer; a line says why it has no row."""
    begin = monotonic()
    try:
        row = peer.start(cleanup, workload, folder, title)
    except (NotInstalledError, NotStartedError) as exc:
        print(f"{title or peer.title} has no row: {exc}", flush=True)
        return []
    print(f"{row.name} answers after {monotonic() - begin:.0f} s", flush=True)
    return [row]


def same_file(cleanup: ExitStack, workload: Workload, folder: Path) -> list[Contender]:
    """Everything with the checkpoint as it is, and the same preprocessing."""
    plain = cleanup.enter_context(our_stacks.stack(workload, "model.image.scaled_decoding=false"))
    our_stacks.deploy(plain, *our_stacks.DEFAULT)
    our_stacks.register_stock_handler(plain, workload)
    stock = our_stacks.torchserve_row(plain, workload, "TorchServe", "genre", is_peer=True)
    url, pid = plain.settings.torchserve.inference_url, plain.pid("torchserve")
    found = [stock, small_proxy(cleanup, workload, url, pid)]
    for peer in PEERS:
        found += start_peer(peer, cleanup, workload, folder / peer.package)
    found.append(
        our_stacks.torchserve_row(plain, workload, "our archive, no gateway", our_stacks.OURS, is_peer=False)
    )
    return [*found, our_stacks.gateway_row(plain, workload, SAME_FILE)]


def best_engine(
    cleanup: ExitStack, workload: Workload, folder: Path, rivals: Sequence[Peer]
) -> list[Contender]:
    """Our best engine, and peers with the same network."""
    stack = cleanup.enter_context(our_stacks.stack(workload, "model.image.scaled_decoding=true"))
    engine, precision = our_stacks.deploy_best(stack)
    found: list[Contender] = []
    if engine == "openvino":
        same = workload.on_engine(our_stacks.unpacked_engine(stack, folder / "engine"))
        for peer in rivals:
            title = f"{peer.title}, our {engine} {precision}"
            others = start_peer(peer, cleanup, same, folder / f"{peer.package}-engine", title)
            found += [replace(row, is_peer=False) for row in others]
    name = f"ours, {engine} {precision}"
    return [*found, our_stacks.gateway_row(stack, replace(workload, tolerance=WITHIN_GATE), name)]


def fastest(measured: Sequence[Contender]) -> list[Peer]:
    """The peers with servers of their own that did best in the warm-up."""
    by_title = {peer.title: peer for peer in PEERS}
    found = sorted((row for row in measured if row.name in by_title), key=lambda row: -row.warm_up)
    return [by_title[row.name] for row in found[:RIVALS]]


def measure(name: str) -> None:
    """Measures a workload and prints its table."""
    with undisturbed_cleanup() as cleanup:
        folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory()))
        workload = WORKLOADS[name](folder)
        os.environ.update(workload.environment, PYTHONPATH=str(PROJECT_ROOT))
        measured = checked(same_file(cleanup, workload, folder))
        measured += checked(best_engine(cleanup, workload, folder, fastest(measured)), measured)
        in_process = InProcess(workload, cleanup)
        measured = play(measured, in_process.play)
        print()
        print("\n".join(lines(workload.title, measured)), flush=True)
        for row in measured:
            if row.name == SAME_FILE:
                print(line(row.cpu_ms, in_process.rounds_ms), flush=True)


def main(names: Sequence[str]) -> int:
    """Measures the named workloads, or all; returns the exit code."""
    if unknown := set(names) - WORKLOADS.keys():
        print(f"no workload {', '.join(sorted(unknown))}; there are {', '.join(WORKLOADS)}", file=sys.stderr)
        return 2
    print(f"{described()}, load before it {os.getloadavg()[0]:.1f}")
    rounds = f"median of {ROUNDS} rounds of {ROUND_S:.0f} s"
    print(f"{CLIENTS} clients in a closed loop, {len(IMAGES)} JPEGs of imgs/, {rounds}", flush=True)
    try:
        for name in names or WORKLOADS:
            measure(name)
    except KeyboardInterrupt:
        print("interrupted; all servers are stopped", file=sys.stderr)
        return 130
    except (StackCommandError, WrongAnswerError, OSError) as exc:
        print(f"stopped: {exc}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Ways to run a network on a device, timed in turns."""

import copy
import json
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter

import torch
from torch._inductor import aoti_compile_and_package, aoti_load_package

from ts_serialize.cuda_graphs import with_cuda_graphs
from ts_serialize.engines.torch_export_network import TorchExportNetwork
from ts_serialize.engines.torchscript_network import TorchScriptNetwork
from ts_serialize.optimized_torchscript import optimized
from ts_serialize.torchscript import without_deprecation

# Seconds that a turn measures at least, and turns of each network and batch size.
TURN_S = 0.2
TURNS = 5
WARM_UPS = 5

Network = Callable[[torch.Tensor], torch.Tensor]
Preparations = Mapping[str, Callable[[], Network]]
"""Functions that prepare, by the name of the row."""


@dataclass
class Way:
    """A network prepared in some way."""

    name: str
    run: Network
    """Maps float32 (N, C, H, W) on the device to float32 logits."""
    turns_s: dict[int, list[float]] = field(default_factory=dict)
    """Seconds of a batch by batch size, a value a turn."""
    max_difference: float = 0.0
    """Largest difference of a probability from the network in fp32."""

    def images_s(self, size: int) -> float:
        """Images a second in batches of this size."""
        return size / median(self.turns_s[size])


class Ways:
    """Prepares a network in all ways; each call may raise whatever torch raises where it cannot."""

    def __init__(
        self,
        network: torch.nn.Module,
        example: torch.Tensor,
        largest: int,
        device: torch.device,
        folder: Path,
    ) -> None:
        """Takes an eager network in fp32 on the CPU.

        Args:
            network: in evaluation mode.
            example: float32 (C, H, W) on the CPU.
            largest: largest batch, images.
            device: the device to run on.
            folder: gets the files of the networks.
        """
        self._network, self._example, self._largest = network, example, largest
        self._device, self._folder = device, folder
        batch = torch.export.Dim("batch", max=1024)
        self.traced, self._exported = folder / "network.pt", folder / "network.pt2"
        pair = torch.stack([example] * 2)
        with without_deprecation():
            torch.jit.save(torch.jit.trace(network, pair), self.traced)  # type: ignore[no-untyped-call]
        torch.export.save(torch.export.export(network, (pair,), dynamic_shapes=({0: batch},)), self._exported)

    def reference(self) -> Network:
        """The eager network in fp32."""
        return copy.deepcopy(self._network).to(self._device)

    def served(self) -> Preparations:
        """Ways of a worker."""
        return {
            "torchscript fp32": self.scripted_fp32,
            "torchscript bf16": lambda: self.scripted("bf16"),
            "torchscript fp16": lambda: self.scripted("fp16"),
            "torchscript fp16, CUDA graphs": lambda: self.recorded(self.scripted("fp16")),
            "torch_export fp16": lambda: self.exported("fp16"),
            "torch_export fp16, CUDA graphs": lambda: self.recorded(self.exported("fp16")),
        }

    def compiled(self) -> Preparations:
        """Compilers that the handler does not use, beside a way of a worker."""
        return {
            "torchscript fp16": lambda: self.scripted("fp16"),
            "torch.compile fp16": lambda: self.just_in_time("default"),
            "torch.compile fp16, CUDA graphs": lambda: self.just_in_time("reduce-overhead"),
            "AOTInductor fp16": self.ahead_of_time,
        }

    def scripted_fp32(self) -> torch.nn.Module:
        """The checkpoint as the handler serves it."""
        with without_deprecation():
            found = torch.jit.load(self.traced, map_location=self._device).eval()  # type: ignore[no-untyped-call]
        return optimized(found, self._example.to(self._device))

    def scripted(self, precision: str) -> torch.nn.Module:
        """Engine torchscript."""
        return TorchScriptNetwork(self._archive(self.traced, precision)).to(self._device).eval()

    def exported(self, precision: str) -> torch.nn.Module:
        """Engine torch_export."""
        return TorchExportNetwork(self._archive(self._exported, precision)).to(self._device)

    def recorded(self, network: torch.nn.Module) -> torch.nn.Module:
        """The same with `cuda_graphs: true`."""
        return with_cuda_graphs(network, self._example.to(self._device), self._largest)

    def just_in_time(self, mode: str) -> Network:
        """The eager network by torch.compile."""
        compiled = torch.compile(self._half(), mode=mode)
        # With CUDA graphs of its own the next call overwrites the output.
        return lambda batch: compiled(_reduced(batch)).float().clone()

    def ahead_of_time(self) -> Network:
        """A package of AOTInductor."""
        pair = _reduced(torch.stack([self._example] * 2).to(self._device))
        shapes = ({0: torch.export.Dim("batch", max=1024)},)
        program = torch.export.export(self._half(), (pair,), dynamic_shapes=shapes)
        package = aoti_compile_and_package(program, package_path=f"{self._folder}/aoti.pt2")
        loaded = aoti_load_package(package)
        return lambda batch: loaded(_reduced(batch)).float()

    def prepared(self, preparations: Preparations) -> Iterator[Way]:
        """Prepares rows, and runs each; a line says why one cannot be had here."""
        largest = torch.stack([self._example] * self._largest).to(self._device)
        for name, prepare in preparations.items():
            # Shows where a compiler ends the process.
            print(f"preparing {name}", file=sys.stderr)
            try:
                way = Way(name, prepare())
                with torch.inference_mode():
                    way.run(largest)
            # Compilers raise anything.
            except Exception as exc:  # noqa: BLE001
                said = str(exc).strip() or type(exc).__name__
                print(f"no row {name}: {said.splitlines()[0]}", flush=True)
            else:
                yield way

    def _half(self) -> torch.nn.Module:
        copied = copy.deepcopy(self._network).to(self._device, torch.half)
        return copied.to(memory_format=torch.channels_last)

    def _archive(self, file: Path, precision: str) -> Path:
        folder = self._folder / f"{file.suffix[1:]}-{precision}"
        folder.mkdir(exist_ok=True)
        shutil.copy(file, folder)
        (folder / "engine.json").write_text(json.dumps({"precision": precision}))
        return folder


def measured(
    ways: Sequence[Way],
    reference: Network,
    example: torch.Tensor,
    sizes: Sequence[int],
    device: torch.device,
) -> Iterator[Way]:
    """Compares the answers with the reference's, then lets the ways take turns."""
    batches = {size: torch.randn(size, *example.shape, device=device) for size in sizes}
    with torch.inference_mode():
        wanted = {size: _probabilities(reference, batch) for size, batch in batches.items()}
        for way in ways:
            answers = {size: _probabilities(way.run, batch) for size, batch in batches.items()}
            way.max_difference = max((answers[size] - wanted[size]).abs().max().item() for size in sizes)
            way.turns_s = {size: [] for size in sizes}
        for _ in range(TURNS):
            for way in ways:
                for size, batch in batches.items():
                    way.turns_s[size].append(_turn_s(way.run, batch, device))
    yield from ways


def network_lines(found: Sequence[Way], sizes: Sequence[int]) -> Iterator[str]:
    """The table of networks: images a second by batch size."""
    yield f"{'images/s in batches of':<32}" + "".join(f"{size:>9}" for size in sizes) + f"{'max |Δp|':>10}"
    for way in found:
        rates = "".join(f"{way.images_s(size):>9.0f}" for size in sizes)
        yield f"{way.name:<32}{rates}{way.max_difference:>10.4f}"


def _probabilities(run: Network, batch: torch.Tensor) -> torch.Tensor:
    for _ in range(WARM_UPS):
        logits = run(batch)
    return torch.softmax(logits, dim=1).cpu()


def _turn_s(run: Network, batch: torch.Tensor, device: torch.device) -> float:
    """Seconds of a batch, averaged over a turn; as in the worker, a batch waits for the one before."""
    start, calls, passed = perf_counter(), 0, 0.0
    while passed < TURN_S:
        run(batch)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        calls, passed = calls + 1, perf_counter() - start
    return passed / calls


def _reduced(batch: torch.Tensor) -> torch.Tensor:
    return batch.half().contiguous(memory_format=torch.channels_last)

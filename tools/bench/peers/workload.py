"""Models and images of the measurement, the same for all servers."""

import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torchvision

from tools.bench.peers.load import Answer
from tools.bench.peers.servers.classifier import VARIABLE, Classifier
from torchserve_gateway.settings.composition import PROJECT_ROOT, as_override, load
from torchserve_gateway.settings.project import ProjectSettings
from ts_serialize.torchscript import without_deprecation

IMAGES = sorted((PROJECT_ROOT / "imgs").glob("*.jpg"))
SEED = 0
# Of a probability: rounding by another order of additions; and model.parity.max_difference of another engine.
SAME_NETWORK, WITHIN_GATE = 1e-3, 0.05
RESNET_RESIZE, RESNET_CROP = 256, 224


@dataclass(frozen=True)
class Workload:
    """A checkpoint, its preprocessing, and the way it is batched."""

    title: str
    file: Path
    """JSON for the servers of peers."""
    settings: dict[str, Any]
    """Content of the file."""
    expected: Sequence[Answer]
    """Answers of the checkpoint in this process, by image."""
    tolerance: float = SAME_NETWORK
    """Largest difference of a probability from them."""

    @property
    def environment(self) -> dict[str, str]:
        """Variables of every server: the workload, and one thread per worker."""
        return {VARIABLE: str(self.file), "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

    @property
    def overrides(self) -> Sequence[str]:
        """Settings of the same model for our stack."""
        mine = self.settings
        return (
            as_override("model.weights.path", mine["checkpoint"]),
            f"model.image.resize={mine['resize']}".replace(" ", ""),
            f"model.image.crop={'null' if mine['crop'] is None else mine['crop']}",
            f"model.batch_size={mine['batch_size']}",
            f"model.max_batch_delay={mine['max_batch_delay']}",
            f"model.workers={mine['workers']}",
            # Random weights know no class.
            "model.samples=[]",
        )

    def on_engine(self, folder: Path) -> "Workload":
        """The same with the network of our engine, unpacked in the folder."""
        settings = self.settings | {"engine_folder": str(folder)}
        file = _written(folder / "workload.json", settings)
        return replace(self, file=file, settings=settings, tolerance=WITHIN_GATE)


def demo(directory: Path) -> Workload:
    """The demo checkpoint, where everything but the network costs."""
    return _workload("demo checkpoint", directory, {})


def resnet18(directory: Path) -> Workload:
    """Torchvision's ResNet-18 with random weights and the demo's ten classes."""
    torch.manual_seed(SEED)
    checkpoint = directory / "resnet18.pt"
    classes = len(load("gateway", ProjectSettings).model.labels)
    with without_deprecation():
        network = torchvision.models.resnet18(num_classes=classes).eval()
        traced = torch.jit.trace(network, torch.zeros(2, 3, RESNET_CROP, RESNET_CROP))  # type: ignore[no-untyped-call]
        torch.jit.save(traced, checkpoint)
    size = {"resize": RESNET_RESIZE, "crop": RESNET_CROP}
    return _workload("ResNet-18, random weights", directory, {"checkpoint": str(checkpoint), **size})


WORKLOADS = {"resnet18": resnet18, "demo": demo}


def _workload(title: str, directory: Path, changes: dict[str, Any]) -> Workload:
    model = load("gateway", ProjectSettings).model
    assert model.image is not None, "the demo's model reads images"
    image = model.image.model_dump()
    settings = {
        "checkpoint": str(model.checkpoint.path.resolve()),
        "labels": model.labels,
        **{key: image[key] for key in ("resize", "crop", "mean", "std")},
        "batch_size": model.batch_size,
        "max_batch_delay": model.max_batch_delay,
        "workers": len(os.sched_getaffinity(0)),
        "engine_folder": None,
        **changes,
    }
    folder = Path(tempfile.mkdtemp(dir=directory))
    file = _written(folder / "workload.json", settings)
    os.environ[VARIABLE] = str(file)
    with without_deprecation():
        classifier = Classifier()
    expected = [classifier.classify([image.read_bytes()])[0] for image in IMAGES]
    return Workload(title, file, settings, expected)


def _written(file: Path, settings: dict[str, Any]) -> Path:
    file.write_text(json.dumps(settings))
    return file

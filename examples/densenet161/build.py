"""Random weights for DenseNet-161, and class names that say so: for timing only."""

import json
import sys
from pathlib import Path

import torch

from examples.densenet161.network import ImageClassifier
from torchserve_gateway.settings.command import run
from torchserve_gateway.settings.composition import PROJECT_ROOT
from torchserve_gateway.settings.project import ProjectSettings

NAMES = Path(__file__).with_name("random_index_to_name.json")
IMAGENET = PROJECT_ROOT / "examples/imagenet/labels.txt"
MARK = "random weights: "
SEED = 0


class BuildError(Exception):
    """The configured weights are not the random ones."""


def build(settings: ProjectSettings) -> None:
    """Writes weights and class names, and says where.

    Raises:
        BuildError: a URL is configured, whose weights would be overwritten.
    """
    weights = settings.model.checkpoint
    if weights.url:
        raise BuildError(f"model.weights.url is {weights.url}: make download_weights MODEL=densenet161")
    torch.manual_seed(SEED)
    weights.path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(ImageClassifier().state_dict(), weights.path)
    NAMES.write_text(json.dumps(names(), indent=0) + "\n", "utf-8")
    print(f"{weights.path} ({weights.path.stat().st_size / 1e6:.1f} MB, random), {NAMES}")


def names() -> dict[str, str]:
    """ImageNet's class names by index, each with a mark that its probability means nothing."""
    return {str(index): MARK + name for index, name in enumerate(IMAGENET.read_text("utf-8").splitlines())}


if __name__ == "__main__":
    sys.exit(run("gateway", ProjectSettings, build, (BuildError,)))

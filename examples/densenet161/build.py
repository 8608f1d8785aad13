"""Random weights for DenseNet-161, and class names that say so: for timing only."""

import sys
from pathlib import Path

from examples.densenet161.network import ImageClassifier
from examples.random_weights import BuildError, write_random
from torchserve_gateway.settings.command import run
from torchserve_gateway.settings.composition import PROJECT_ROOT
from torchserve_gateway.settings.project import ProjectSettings

NAMES = Path(__file__).with_name("random_index_to_name.json")
IMAGENET = PROJECT_ROOT / "examples/imagenet/labels.txt"


def build(settings: ProjectSettings) -> None:
    """Writes weights and class names, and says where."""
    write_random(settings, ImageClassifier, IMAGENET.read_text("utf-8").splitlines(), NAMES)


if __name__ == "__main__":
    sys.exit(run("gateway", ProjectSettings, build, (BuildError,)))

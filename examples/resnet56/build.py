"""Random weights for ResNet-56, and class names that say so: for timing only."""

import sys
from pathlib import Path

from examples.random_weights import BuildError, write_random
from examples.resnet56.network import ResNet56
from torchserve_gateway.settings.command import run
from torchserve_gateway.settings.project import ProjectSettings

NAMES = Path(__file__).with_name("random_index_to_name.json")
LABELS = Path(__file__).with_name("labels.txt")


def build(settings: ProjectSettings) -> None:
    """Writes weights and class names, and says where."""
    write_random(settings, ResNet56, LABELS.read_text("utf-8").splitlines(), NAMES)


if __name__ == "__main__":
    sys.exit(run("gateway", ProjectSettings, build, (BuildError,)))

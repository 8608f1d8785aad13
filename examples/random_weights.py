"""Random weights for an architecture, and class names that say so: for timing only."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from torchserve_gateway.settings.project import ProjectSettings

MARK = "random weights: "
SEED = 0


class BuildError(Exception):
    """The configured weights are not the random ones."""


def write_random(
    settings: ProjectSettings, architecture: Callable[[], torch.nn.Module], labels: Sequence[str], names: Path
) -> None:
    """Writes a state dict to the model's weights and the marked labels to `names`, and says where.

    Raises:
        BuildError: a URL is configured, whose weights would be overwritten.
    """
    weights = settings.model.checkpoint
    if weights.url:
        raise BuildError(
            f"model.weights.url is {weights.url}: make download_weights fetches from there; "
            "random weights need model.weights.url=null"
        )
    torch.manual_seed(SEED)
    weights.path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(architecture().state_dict(), weights.path)
    names.write_text(json.dumps(marked(labels), indent=0) + "\n", "utf-8")
    print(f"{weights.path} ({weights.path.stat().st_size / 1e6:.1f} MB, random), {names}")


def marked(labels: Sequence[str]) -> dict[str, str]:
    """Class names by index, each with a mark that its probability means nothing."""
    return {str(index): MARK + name for index, name in enumerate(labels)}

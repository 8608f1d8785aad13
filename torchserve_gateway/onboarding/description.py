"""Describes a model: looks into the file and writes `config/model/<name>.yaml`."""

from dataclasses import dataclass
from pathlib import Path

import torch

from torchserve_gateway.onboarding.architecture import as_torchscript
from torchserve_gateway.onboarding.asked import Asked
from torchserve_gateway.onboarding.errors import OnboardingError
from torchserve_gateway.onboarding.inspection import Found, inspect_file
from torchserve_gateway.onboarding.labels import labels_setting
from torchserve_gateway.onboarding.model_file import update_model_file, write_model_file
from torchserve_gateway.onboarding.source import WEIGHTS_FOLDER, local_file, model_name, shown
from torchserve_gateway.settings.model_parts.weights import WeightsSettings
from ts_serialize.torchscript import without_deprecation


@dataclass(frozen=True)
class Described:
    """A model that `config/model/` describes."""

    name: str
    """Its name."""
    file: Path
    """The file that describes it."""
    lines: tuple[str, ...]
    """Findings and changes, for people."""


def describe(asked: Asked, *, update: bool) -> Described:
    """Looks into the file and writes what it found; nothing is written before all is known.

    Args:
        asked: the caller's arguments.
        update: whether a file that this function wrote before gets the new checkpoint and labels.

    Raises:
        OnboardingError: something is missing or does not fit.
    """
    size = asked.size
    source = local_file(asked.weights, asked.sha256)
    name = model_name(asked.name, asked.weights)
    file = Path.cwd() / "config" / "model" / f"{name}.yaml"
    found = inspect_file(source.path, size, asked.architecture_file)
    labels = labels_setting(asked.labels, source.path, found.outputs)
    weights = source if found.as_it_is else _converted(found, source)
    if file.exists() and update and not asked.force:
        update_model_file(file, labels, weights)
        done = f"updated {shown(file)}"
    else:
        write_model_file(file, name, found, labels, weights, replace=asked.force)
        done = f"wrote {shown(file)}"
    return Described(name, file, (*found.lines, done))


def _converted(found: Found, source: WeightsSettings) -> WeightsSettings:
    """TorchScript of the network, in a file of its own."""
    shape = (found.input.channels, found.input.height, found.input.width)
    target = Path.cwd() / WEIGHTS_FOLDER / f"{source.path.stem}-torchscript.pt"
    part = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with without_deprecation():
            torch.jit.save(as_torchscript(found.network, shape), str(part))
        part.replace(target)
    except (OSError, RuntimeError) as exc:
        raise OnboardingError(f"{shown(target)} cannot be written: {exc}") from exc
    finally:
        part.unlink(missing_ok=True)
    return WeightsSettings(url=None, sha256=None, path=target)

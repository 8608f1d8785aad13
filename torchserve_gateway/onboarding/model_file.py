"""Writes and changes `config/model/<name>.yaml`."""

import re
from collections.abc import Sequence
from pathlib import Path

from torchserve_gateway.onboarding.errors import OnboardingError
from torchserve_gateway.onboarding.inspection import Found
from torchserve_gateway.onboarding.model_text import MARK, labels_text, model_text, quoted
from torchserve_gateway.onboarding.source import shown
from torchserve_gateway.settings.model_parts.weights import WeightsSettings


def write_model_file(
    file: Path,
    name: str,
    found: Found,
    labels: str | Sequence[str],
    weights: WeightsSettings,
    *,
    replace: bool,
) -> None:
    """Writes the file in one step.

    Args:
        file: `config/model/<name>.yaml`.
        name: the model's name.
        found: what was found in the checkpoint.
        labels: class names, or the file that holds them.
        weights: the checkpoint to pack.
        replace: whether another file may be there.

    Raises:
        OnboardingError: it exists, or cannot be written.
    """
    if file.exists() and not replace:
        raise OnboardingError(
            f"{shown(file)} exists; replace it, or give the model another name to keep both", force="1"
        )
    _replace(file, model_text(name, found, labels, weights))


def update_model_file(file: Path, labels: str | Sequence[str], weights: WeightsSettings) -> None:
    """Sets labels and checkpoint in a file that this module wrote; other lines stay.

    Raises:
        OnboardingError: it cannot be changed.
    """
    text = _read(file)
    if not text.startswith(MARK):
        raise OnboardingError(
            f"{shown(file)} was not written by this command, so it stays as it is: make upload_model "
            f"MODEL={file.stem} deploys it; another name makes another model",
            name=f"{file.stem}-2",
        )
    for key, value in (
        ("  path", quoted(shown(weights.path))),
        ("  url", quoted(weights.url) if weights.url else "null"),
        ("  sha256", weights.sha256 if weights.url else "null"),
    ):
        text = _set(text, key, value or "null", file)
    # A list goes on over the next lines.
    text = re.sub(
        r"(?m)^labels:.*\n(?:[ ]+- .*\n)*", lambda _: f"labels: {labels_text(labels)}\n", text, count=1
    )
    _replace(file, text)


def set_version(file: Path, version: str) -> None:
    """Sets the version in a file that this module wrote.

    Raises:
        OnboardingError: it cannot be changed.
    """
    _replace(file, _set(_read(file), "version", f'"{version}"', file))


def _set(text: str, key: str, value: str, file: Path) -> str:
    changed, count = re.subn(rf"(?m)^{key}:.*$", lambda _: f"{key}: {value}", text, count=1)
    if not count:
        raise OnboardingError(f"{shown(file)} lacks the key {key.strip()}; replace the file", force="1")
    return changed


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as exc:
        raise OnboardingError(f"{shown(file)} cannot be read: {exc}") from exc


def _replace(file: Path, text: str) -> None:
    part = file.with_name(f".{file.name}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text)
        part.replace(file)
    except OSError as exc:
        raise OnboardingError(f"{shown(file)} cannot be written: {exc}") from exc
    finally:
        part.unlink(missing_ok=True)

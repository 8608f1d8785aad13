"""The file behind WEIGHTS: a path, or a URL with a checksum; and the model's name."""

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import TypeAdapter, ValidationError

from torchserve_gateway.downloads import sha256, without_credentials
from torchserve_gateway.onboarding.errors import OnboardingError
from torchserve_gateway.settings.model_parts.names import ModelName
from torchserve_gateway.settings.model_parts.weights import WeightsSettings
from torchserve_gateway.weights import WeightsError, fetch_weights

WEIGHTS_FOLDER = Path("weights")


def local_file(weights: str, checksum: str | None) -> WeightsSettings:
    """The file on this machine, downloaded first if `weights` is a URL; its checksum is compared.

    Raises:
        OnboardingError: no checksum for a URL, no such file, or another checksum.
    """
    if not weights:
        raise OnboardingError("which model? Name its file", weights="model.pt", labels="labels.txt")
    url = weights if "://" in weights else None
    if url and not checksum:
        raise OnboardingError(
            f"{without_credentials(url)} is downloaded only with its checksum (sha256sum prints it), so that "
            "the same file is served every time",
            sha256="0123...",
        )
    path = WEIGHTS_FOLDER / _file_name(url) if url else Path(weights).expanduser()
    try:
        settings = WeightsSettings.model_validate({"url": url, "sha256": checksum, "path": path})
        if not url and not settings.path.exists():
            raise OnboardingError(f"{weights}: there is no such file in {Path.cwd()}")
        if url:
            fetch_weights(settings)
        elif checksum and (digest := sha256(settings.path)) != settings.sha256:
            raise OnboardingError(f"{weights} has sha256 {digest}, not {checksum}")
    except ValidationError as exc:
        raise OnboardingError(f"sha256 {checksum!r}: a checksum has 64 hexadecimal digits") from exc
    except (WeightsError, OSError) as exc:
        raise OnboardingError(str(exc)) from exc
    return settings


def model_name(asked: str | None, weights: str) -> str:
    """The name that the caller gives, or one made of the file's.

    Raises:
        OnboardingError: TorchServe does not take it.
    """
    name = asked or re.sub(r"[^A-Za-z0-9_.-]+", "-", Path(_file_name(weights)).stem).strip("-._")
    try:
        return TypeAdapter(ModelName).validate_python(name)
    except ValidationError as exc:
        raise OnboardingError(
            f"name {name!r}: a model's name has letters, digits, _, . and -, and begins with letter or digit",
            name="my-model",
        ) from exc


def shown(path: Path) -> str:
    """The path as the caller would type it: from the working folder, if it lies there."""
    here, normal = Path.cwd(), Path(os.path.normpath(path))
    return str(normal.relative_to(here)) if normal.is_relative_to(here) else str(normal)


def _file_name(weights: str) -> str:
    return Path(unquote(urlsplit(weights).path) if "://" in weights else weights).name

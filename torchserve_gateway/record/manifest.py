"""A model archive's manifest, as torch-model-archiver writes it."""

import json
import zipfile
import zlib
from typing import Any

MANIFEST = "MAR-INF/MANIFEST.json"
# RuntimeError: encrypted, or packed in a way that Python cannot read.
UNREADABLE = (OSError, zipfile.BadZipFile, zlib.error, RuntimeError, KeyError, ValueError, TypeError)
"""Errors of a file that is no model archive."""


def model_in(archive: zipfile.ZipFile) -> dict[str, Any]:
    """The manifest's entry about the model.

    Raises:
        any of UNREADABLE: the archive has no valid manifest.
    """
    model = json.loads(archive.read(MANIFEST))["model"]
    if not isinstance(model, dict):
        raise TypeError(f"model in {MANIFEST} is {type(model).__name__}, not a map")
    return model

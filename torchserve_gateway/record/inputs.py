"""Whether an archive's model takes images: as packing noted, or as TorchServe's own handlers do."""

import json
import zipfile
import zlib
from pathlib import Path

MANIFEST = "MAR-INF/MANIFEST.json"
# Packing writes it for a model with image settings.
PREPROCESSING = "preprocessing.json"
# TorchServe's own handlers that take images and nothing else.
IMAGE_HANDLERS = frozenset({"image_classifier", "object_detector", "image_segmenter"})
UNREADABLE = (OSError, zipfile.BadZipFile, zlib.error, RuntimeError, ValueError, KeyError, TypeError)
"""Errors of a file that is no model archive."""


def takes_images(archive: Path) -> bool:
    """Whether each input is an image; False for a handler of others, whose inputs only its author knows.

    Raises:
        any of UNREADABLE: it is no model archive.
    """
    with zipfile.ZipFile(archive) as content:
        if PREPROCESSING in content.namelist():
            return True
        return json.loads(content.read(MANIFEST))["model"].get("handler") in IMAGE_HANDLERS

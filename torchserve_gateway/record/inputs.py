"""Whether an archive's model takes images: as packing noted, or as TorchServe's own handlers do."""

import zipfile
from pathlib import Path

from torchserve_gateway.record.manifest import model_in

# Packing writes it for a model with image settings.
PREPROCESSING = "preprocessing.json"
# TorchServe's own handlers that take images and nothing else.
IMAGE_HANDLERS = ("image_classifier", "object_detector", "image_segmenter")


def takes_images(archive: Path) -> bool:
    """Whether each input is an image; False for a handler of others, whose inputs only its author knows.

    Raises:
        any of `manifest.UNREADABLE`: it is no model archive.
    """
    with zipfile.ZipFile(archive) as content:
        if PREPROCESSING in content.namelist():
            return True
        return model_in(content).get("handler") in IMAGE_HANDLERS

"""Handler of the faces: an image in, a list of boxes out."""

import json
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np
import torch

from ts_serialize.batch_handler import BatchHandler
from ts_serialize.image_input import decode_image
from ts_serialize.request_image import image_bytes

SETTINGS = "faces.json"
# Edge of the first network's input, pixels; it recognizes no smaller face.
FEWEST_PIXELS = 20
# The package's own, of the first two of three networks.
FIRST_THRESHOLDS = (0.6, 0.7)


class FaceHandler(BatchHandler):
    """Finds faces with MTCNN (Zhang et al. 2016, arXiv:1604.02878)."""

    dtype = torch.uint8

    def load(self, context: Any) -> None:  # noqa: ARG002 - the base's signature
        """Loads the three networks, which the archive holds as a package, and the settings beside them."""
        settings = json.loads((self.model_dir / SETTINGS).read_text("utf-8"))
        threshold = share("score_threshold", settings)
        self.smallest_face = share("smallest_face", settings)
        image = json.loads((self.model_dir / "preprocessing.json").read_text("utf-8"))
        self.max_pixels: int = image["max_pixels"]
        # Part of the archive only, so a checkout without it can import this module.
        package = import_module("facenet_pytorch.models.mtcnn")
        thresholds = [*FIRST_THRESHOLDS, threshold]
        self.model = package.MTCNN(thresholds=thresholds, select_largest=False, device=self.device)

    def decode(self, request: Mapping[str, Any]) -> torch.Tensor:
        """Decodes an image to uint8 (H, W, 3)."""
        return torch.from_numpy(np.array(decode_image(image_bytes(request), self.max_pixels)))

    def predict(self, batch: torch.Tensor) -> list[np.ndarray]:
        """Finds the faces of each image: rows of left, top, right, bottom in pixels, and score."""
        height, width = batch.shape[1:3]
        shorter = min(height, width)
        if shorter < FEWEST_PIXELS:
            return [np.empty((0, 5))] * len(batch)
        # The first network sees the image scaled by its reciprocal: a share bounds the work on large images.
        self.model.min_face_size = max(FEWEST_PIXELS, self.smallest_face * shorter)
        # A worker's memory is bounded by the largest image, however many there are.
        parts = torch.split(batch, max(1, self.max_pixels // (height * width)))
        found = (each for part in parts for each in zip(*self.model.detect(part), strict=True))
        return [faces(boxes, scores, width, height) for boxes, scores in found]

    def encode(self, output: np.ndarray) -> list[dict[str, Any]]:
        """Describes each face, the surest first."""
        return [
            {
                "class": "face",
                "score": score,
                "x": left,
                "y": top,
                "width": right - left,
                "height": bottom - top,
            }
            for left, top, right, bottom, score in output.tolist()
        ]


def faces(boxes: Any, scores: Any, width: int, height: int) -> np.ndarray:
    """Joins the package's boxes, None for an image without a face, and scores, within the image."""
    if boxes is None:
        return np.empty((0, 5))
    edges = np.clip(np.asarray(boxes, float), 0, [width, height, width, height])
    return np.column_stack([edges, np.asarray(scores, float)])


def share(name: str, settings: Mapping[str, Any]) -> float:
    """A setting between 0 and 1.

    Raises:
        ValueError: it is missing or something else.
    """
    value = settings.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
        raise ValueError(f"{name} in {SETTINGS} is {value!r}; set a number above 0 and below 1")
    return float(value)

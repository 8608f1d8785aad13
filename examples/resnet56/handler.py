"""Handler of ResNet-56: an image in, {class: probability} of all classes out."""

import json
from collections.abc import Mapping
from typing import Any

import torch

from ts_serialize.batch_handler import BatchHandler
from ts_serialize.image_input import decode_image
from ts_serialize.image_transform import image_transform
from ts_serialize.preprocessing import input_size
from ts_serialize.request_image import image_bytes


class Cifar10Handler(BatchHandler):
    """Classifies images of any size, scaled to CIFAR-10's."""

    def load(self, context: Any) -> None:
        """Loads the network and its preprocessing, which the archive has from `image` of the model's file."""
        super().load(context)
        self.image = json.loads((self.model_dir / "preprocessing.json").read_text("utf-8"))
        self.transform = image_transform(self.image)
        self.input_shape = (len(self.image["mean"]), *input_size(self.image))

    def decode(self, request: Mapping[str, Any]) -> torch.Tensor:
        """Decodes an image to float32 (3, 32, 32), normalised."""
        image = decode_image(image_bytes(request), self.image["max_pixels"])
        return self.transform(image)

    def unbatch(self, outputs: torch.Tensor) -> list[list[float]]:
        """Turns logits (N, 10) into probabilities."""
        probabilities: list[list[float]] = torch.softmax(outputs, dim=1).tolist()
        return probabilities

    def encode(self, output: list[float]) -> dict[str, float]:
        """Names the probabilities by the archive's index_to_name.json, the largest first."""
        named = {self.mapping[str(index)]: value for index, value in enumerate(output)}
        return dict(sorted(named.items(), key=lambda each: -each[1]))

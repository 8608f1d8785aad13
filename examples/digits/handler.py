"""Handler of the digits: an image in, the digit as text out."""

from collections.abc import Mapping
from typing import Any

import torch
from torchvision.transforms.functional import pil_to_tensor

from ts_serialize.batch_handler import BatchHandler
from ts_serialize.image_input import decode_image
from ts_serialize.request_image import image_bytes

EDGE = 28
MAX_PIXELS = 1_000_000


class DigitHandler(BatchHandler):
    """Reads light digits on dark paper."""

    input_shape = (1, EDGE, EDGE)

    def decode(self, request: Mapping[str, Any]) -> torch.Tensor:
        """Decodes an image to float32 (1, 28, 28) in 0..1."""
        image = decode_image(image_bytes(request), MAX_PIXELS).convert("L").resize((EDGE, EDGE))
        tensor: torch.Tensor = pil_to_tensor(image).float() / 255
        return tensor

    def encode(self, output: torch.Tensor) -> str:
        """Names the digit with the largest logit."""
        return str(int(output.argmax()))

"""Stands for the handlers of KServe's examples: takes an image as bytes or base64, answers with a number."""

import base64
import io
from typing import Any

from PIL import Image, ImageStat


class BrightnessHandler:
    def initialize(self, context: Any) -> None:
        """Nothing to load."""

    def handle(self, data: list[dict[str, Any]], context: Any) -> list[int]:
        return [brightness(row.get("data") or row.get("body")) for row in data]


def brightness(image: Any) -> int:
    encoded = base64.b64decode(image) if isinstance(image, str) else image
    return round(ImageStat.Stat(Image.open(io.BytesIO(encoded)).convert("L")).mean[0])

"""The second tutorial's kind of handler: five methods, JSON in, a list of boxes or None out."""

import base64
import importlib.util
import io
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from plates.box import box_of  # type: ignore[import-not-found]


class PlateHandler:
    """Finds the bright rectangle of an image."""

    def initialize(self, context: Any) -> None:
        self.model = context.manifest["model"]["modelName"]
        path = Path(context.system_properties["model_dir"]) / "config.py"
        spec = importlib.util.spec_from_file_location("plates_config", path)
        assert spec
        assert spec.loader
        self.config: Any = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.config)
        self.initialized = True

    def preprocess(self, data: list[dict[str, Any]]) -> list[Any]:
        return [self._image(row.get("body") or row.get("data")) for row in data]

    def inference(self, images: list[Any]) -> list[Any]:
        return [box_of(image, self.config.THRESHOLD) for image in images]

    def postprocess(self, boxes: list[Any]) -> list[Any]:
        return [box and [{"model": self.model, **box}] for box in boxes]

    def handle(self, data: list[dict[str, Any]], context: Any) -> list[Any]:
        start = time.time()
        answers = self.postprocess(self.inference(self.preprocess(data)))
        context.metrics.add_time("HandlerTime", round((time.time() - start) * 1000, 2), None, "ms")
        return answers

    @staticmethod
    def _image(body: Any) -> Any:
        document = body if isinstance(body, dict) else json.loads(body)
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(document["data"]))).convert("L"))

"""TorchServe handler: N images in, N answers `{class: probability}` out, highest probability first.

Runs in the TorchServe worker from the model archive, so it imports only what TorchServe's own handlers
import and modules packed beside it (`handler_modules` in config/model/). The archive also holds
`index_to_name.json` (the class list, TorchServe's convention) and `preprocessing.json` (see
`image_transform`). TorchServe requires a single class in this file.
"""

import json
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

# Where OpenVINO is installed, TorchServe's handlers import this for torch.compile: 1.3 s and 80 MB a worker.
sys.modules.setdefault("openvino.torch", None)  # type: ignore[arg-type]

import torch
from PIL import Image
from ts.metrics.metric_type_enum import MetricTypes
from ts.torch_handler.vision_handler import VisionHandler

from ts_serialize.explanation import attributions, requested_class
from ts_serialize.image_header import InputError
from ts_serialize.image_input import Batch, decode_image, image_transform
from ts_serialize.preprocessing import check_preprocessing, decoded_for, input_size
from ts_serialize.request_image import image_bytes

logger = logging.getLogger(__name__)


class ImageClassificationHandler(VisionHandler):
    """Classifies images with a network that maps float32 (N, C, H, W) to (N, classes).

    The network is TorchScript, or a class that the archive brings as its `modelFile`: the user's, or of
    `ts_serialize/engines/`. It answers logits, or probabilities where `preprocessing.json` says so.
    """

    model: torch.nn.Module

    def initialize(self, context: Any) -> None:
        """Loads model, class list and preprocessing, and warms the model up.

        Raises:
            FileNotFoundError, ValueError: the archive lacks a part or its parts do not fit together.
        """
        super().initialize(context)
        model_dir = Path(context.system_properties["model_dir"])
        settings = json.loads((model_dir / "preprocessing.json").read_text())
        check_preprocessing(settings)
        if not self.mapping:
            raise FileNotFoundError(f"index_to_name.json with the class list is missing in {model_dir}")
        self.labels = [self.mapping[str(index)] for index in range(len(self.mapping))]
        self.max_pixels: int = settings["max_pixels"]
        self.image_processing = image_transform(settings)
        self.decoded_for = decoded_for(settings)
        self.version_header = str(context.manifest["model"]["modelVersion"])
        # Networks of another engine, see ts_serialize/engines/, are no TorchScript.
        if self.device.type == "cpu" and isinstance(self.model, torch.jit.ScriptModule):
            self.model = _optimized(self.model)
        self.gives_logits: bool = settings.get("outputs", "logits") == "logits"
        self.preprocessing = settings
        self.batch_size: int = context.system_properties["batch_size"] or 1
        self.durations_ms: dict[str, float] = {}
        self._warm_up()

    def handle(self, data: Sequence[Mapping[str, Any]], context: Any) -> list[dict[str, Any]]:
        """Answers a batch; headers of every answer state the batch size and the duration of each stage."""
        self.durations_ms.clear()
        answers: list[dict[str, Any]] = super().handle(data, context)
        # Descriptions are not timed.
        if timing := ", ".join(f"{stage};dur={duration}" for stage, duration in self.durations_ms.items()):
            for position in range(len(answers)):
                context.set_response_header(position, "X-Batch-Size", str(len(answers)))
                context.set_response_header(position, "Server-Timing", timing)
        return answers

    def preprocess(self, data: Sequence[Mapping[str, Any]]) -> Batch:
        """Decodes every image; an image that cannot be decoded fails its own request only."""
        with self._timed("preprocess"):
            tensors: list[torch.Tensor] = []
            positions: list[int] = []
            failures: dict[int, InputError] = {}
            for position, row in enumerate(data):
                if row.get("stream"):
                    # Ends a gRPC stream; otherwise TorchServe kills the worker.
                    self.context.set_response_header(position, "ts_stream_next", "false")
                try:
                    # Unnamed, so that the image is freed before the next is decoded.
                    tensors.append(self.image_processing(self._decoded(row)))
                    positions.append(position)
                except InputError as exc:
                    failures[position] = exc
            tensor = torch.stack(tensors).to(self.device) if tensors else None
        self._report("BatchSize", len(data), "count")
        return Batch(len(data), positions, tensor, failures)

    def _decoded(self, row: Mapping[str, Any]) -> Image.Image:
        return decode_image(image_bytes(row), self.max_pixels, self.decoded_for)

    def inference(self, data: Batch, *args: Any, **kwargs: Any) -> Batch:
        """Runs the network once for all decoded images of the batch."""
        if data.tensor is None:
            return data
        with self._timed("inference"):
            logits = super().inference(data.tensor, *args, **kwargs)
        return Batch(data.size, data.positions, logits, data.failures)

    def postprocess(self, data: Batch) -> list[dict[str, Any]]:
        """Makes an answer per request, in order; failures get their own status code."""
        with self._timed("postprocess"):
            answers: list[dict[str, Any]] = [{} for _ in range(data.size)]
            if data.tensor is not None:
                for position, answer in zip(data.positions, self._answers(data.tensor), strict=True):
                    answers[position] = answer
            for position, error in data.failures.items():
                self.context.set_response_status(code=error.status, phrase=error.phrase, idx=position)
                answers[position] = {"code": error.status, "type": error.type, "message": str(error)}
            for position in range(data.size):
                self.context.set_response_header(position, "Content-Type", "application/json")
                self.context.set_response_header(position, "X-Model-Version", self.version_header)
        return answers

    def explain_handle(self, data: Batch, raw_data: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Answers a batch that holds requests for explanations; its other requests get predictions."""
        targets: dict[int, str | None] = {}
        for position in filter(self._wants_explanation, data.positions):
            try:
                targets[position] = requested_class(raw_data[position], self.labels)
            except InputError as exc:
                data.failures[position] = exc
        answers = self.postprocess(self.inference(data))
        images = dict(zip(data.positions, () if data.tensor is None else data.tensor, strict=True))
        with self._timed("explain"):
            for position, target in targets.items():
                answers[position] = self._explanation(images[position], answers[position], target)
        return answers

    def describe_handle(self) -> dict[str, Any]:
        """Metadata for `GET /models/{model}?customized=true` of the Management API."""
        return {"labels": self.labels, "image": self.preprocessing}

    def _is_explain(self) -> bool:
        # A batch may mix both kinds of request; BaseHandler looks at the first request only.
        return any(map(self._wants_explanation, range(len(self.context.request_processor))))

    def _wants_explanation(self, position: int) -> bool:
        return bool(self.context.get_request_header(position, "explain") == "True")

    def _explanation(
        self, image: torch.Tensor, probabilities: dict[str, float], target: str | None
    ) -> dict[str, Any]:
        label = target or next(iter(probabilities))
        grid = attributions(self.model, image, self.labels.index(label), self.batch_size)
        return {"class": label, "probability": probabilities[label], "attributions": grid}

    def _answers(self, logits: torch.Tensor) -> Iterator[dict[str, float]]:
        # A network that ends in a softmax has none to come.
        softmax = torch.softmax(logits.float(), dim=1) if self.gives_logits else logits.float()
        probabilities, indices = softmax.sort(dim=1, descending=True)
        for row, order in zip(probabilities.tolist(), indices.tolist(), strict=True):
            yield {self.labels[index]: value for index, value in zip(order, row, strict=True)}

    def _warm_up(self) -> None:
        # TorchScript compiles in the first two runs of a shape; a worker is READY when this returns.
        settings, batch_size = self.preprocessing, self.batch_size
        for size in (1, 1, batch_size, batch_size):
            logits = super().inference(torch.zeros(size, len(settings["mean"]), *input_size(settings)))
        if tuple(logits.shape) != (batch_size, len(self.labels)):
            raise ValueError(
                f"the model's output has shape {tuple(logits.shape)}, "
                f"the class list wants ({batch_size}, {len(self.labels)})"
            )

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        start = perf_counter()
        yield
        duration_ms = round((perf_counter() - start) * 1000, 3)
        self.durations_ms[stage] = duration_ms
        self._report(f"{stage.capitalize()}Time", duration_ms, "ms")

    def _report(self, name: str, value: float, unit: str) -> None:
        self.context.metrics.add_metric(name, value, unit, metric_type=MetricTypes.GAUGE)


def _optimized(model: torch.jit.ScriptModule) -> torch.nn.Module:
    """Folds batch norms and selects CPU kernels; answers differ by float rounding only."""
    try:
        return torch.jit.optimize_for_inference(model)
    # A model may use operations that freezing does not support.
    except RuntimeError as exc:
        logger.warning("serving the model unoptimized: %s", exc)
        return model

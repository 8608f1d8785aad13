"""TorchServe handler: N images in, N answers `{class: probability}` out, highest probability first.

Runs in the TorchServe worker from the model archive, so it imports only what TorchServe's own handlers
import and modules packed beside it. The archive also holds
`index_to_name.json` (the class list, TorchServe's convention) and `preprocessing.json` (see
`image_transform`). TorchServe requires a single class in this file.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from PIL import Image

from ts_serialize.batch import Batch
from ts_serialize.batch_handler import BatchHandler
from ts_serialize.cuda_graphs import with_cuda_graphs
from ts_serialize.explanation import attributions, requested_class
from ts_serialize.gpu_decoding import GpuDecoding
from ts_serialize.image_header import InputError
from ts_serialize.image_input import decode_image
from ts_serialize.image_transform import image_transform
from ts_serialize.optimized_torchscript import optimized
from ts_serialize.preprocessing import check_preprocessing, decoded_for, input_size
from ts_serialize.request_error import RequestError
from ts_serialize.request_image import image_bytes

logger = logging.getLogger(__name__)


class ImageClassificationHandler(BatchHandler):
    """Classifies images with a network that maps float32 (N, C, H, W) to (N, classes).

    The network is TorchScript, or a class that the archive brings as its `modelFile`: the user's, or of
    `ts_serialize/engines/`. It answers logits, or probabilities where `preprocessing.json` says so.
    """

    model: torch.nn.Module
    gpu_decoding: GpuDecoding | None = None
    """Decodes on the worker's GPU; None: on the CPU."""
    top_k: int | None = None
    """Classes in an answer; None: all."""

    def load(self, context: Any) -> None:
        """Loads model, class list and preprocessing.

        Raises:
            FileNotFoundError, ValueError: the archive lacks a part or its parts do not fit together.
        """
        super().load(context)
        if not context.system_properties.get("limit_max_image_pixels"):
            # max_pixels remains.
            Image.MAX_IMAGE_PIXELS = None
        settings = json.loads((self.model_dir / "preprocessing.json").read_text())
        check_preprocessing(settings)
        if not self.mapping:
            raise FileNotFoundError(f"index_to_name.json with the class list is missing in {self.model_dir}")
        self.labels = [self.mapping[str(index)] for index in range(len(self.mapping))]
        self.max_pixels: int = settings["max_pixels"]
        self.image_processing = image_transform(settings)
        self.decoded_for = decoded_for(settings)
        self.decode_threads = settings.get("decode_threads", 1)
        self.gives_logits: bool = settings.get("outputs", "logits") == "logits"
        self.preprocessing = settings
        self.input_shape = (len(settings["mean"]), *input_size(settings))
        example = torch.zeros(self.input_shape, dtype=self.dtype, device=self.device)
        # Networks of another engine, see ts_serialize/engines/, are no TorchScript.
        if isinstance(self.model, torch.jit.ScriptModule):
            self.model = optimized(self.model, example)
        if self._has_gpu_for("cuda_graphs"):
            self.model = with_cuda_graphs(self.model, example, self.batch_size)
        if self._has_gpu_for("gpu_decoding"):
            self.gpu_decoding = GpuDecoding(settings, self.device)

    def decode(self, request: Mapping[str, Any]) -> torch.Tensor:
        """Decodes the image of a request to float32 (C, H, W), normalised."""
        return self.image_processing(decode_image(image_bytes(request), self.max_pixels, self.decoded_for))

    def unbatch(self, outputs: torch.Tensor) -> list[tuple[list[float], list[int]]]:
        """Sorts the network's (N, classes) into probabilities, highest first, and their classes' indices.

        Raises:
            ValueError: the model has another number of classes than the class list.
        """
        if outputs.shape[1:] != (len(self.labels),):
            raise ValueError(
                f"the model's output has shape {tuple(outputs.shape)}, "
                f"the class list wants ({len(outputs)}, {len(self.labels)})"
            )
        top = slice(self.top_k)
        probabilities, indices = self._probabilities(outputs).sort(dim=1, descending=True)
        return list(zip(probabilities[:, top].tolist(), indices[:, top].tolist(), strict=True))

    def encode(self, output: tuple[list[float], list[int]]) -> dict[str, float]:
        """Names the classes of an output of `unbatch`."""
        return {self.labels[index]: value for value, index in zip(*output, strict=True)}

    def explain_handle(self, data: Batch, raw_data: Sequence[Mapping[str, Any]]) -> list[Any]:
        """Answers a batch that holds requests for explanations; its other requests get predictions."""
        targets: dict[int, str | None] = {}
        for position in filter(self.wants_explanation, data.positions):
            try:
                targets[position] = requested_class(raw_data[position], self.labels)
            except InputError as exc:
                data.failures[position] = exc
        answers = self.postprocess(self.inference(data))
        images = dict(zip(data.positions, () if data.tensor is None else data.tensor, strict=True))
        with self.times.measured("explain"):
            for position, target in targets.items():
                if position not in data.failures:
                    answers[position] = self._explanation(images[position], answers[position], target)
        return answers

    def describe_handle(self) -> dict[str, Any]:
        """Metadata for `GET /models/{model}?customized=true` of the Management API."""
        return {"labels": self.labels, "image": self.preprocessing}

    def _decode_all(self, rows: Sequence[Any]) -> tuple[dict[int, Any], dict[int, RequestError]]:
        if self.gpu_decoding is None:
            return super()._decode_all(rows)
        return self.gpu_decoding.decode_rows(rows, self._decoded, self._each)

    def _has_gpu_for(self, key: str) -> bool:
        if not self.preprocessing.get(key):
            return False
        if self.device.type != "cuda":
            logger.warning("%s: this worker has no GPU; it serves without", key)
        return self.device.type == "cuda"

    def _probabilities(self, outputs: torch.Tensor) -> torch.Tensor:
        # A network that ends in a softmax has none to come.
        return torch.softmax(outputs.float(), dim=1) if self.gives_logits else outputs.float()

    def _explanation(
        self, image: torch.Tensor, probabilities: dict[str, float], target: str | None
    ) -> dict[str, Any]:
        label = target or next(iter(probabilities))
        index = self.labels.index(label)
        if label not in probabilities:
            probabilities = {label: float(self._probabilities(self.predict(image[None]))[0, index])}
        grid = attributions(self.model, image, index, self.batch_size)
        return {"class": label, "probability": probabilities[label], "attributions": grid}

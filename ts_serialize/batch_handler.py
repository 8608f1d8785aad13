"""Base class of handlers: a subclass says what happens to one request, the base does the rest.

The base batches requests, fails a bad request alone, reports times, sets headers, warms the model up and
knows device and dtype; see docs/handlers.md. Part of the model archive: imports only what TorchServe's own
handlers import and modules packed beside it.
"""

import logging
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

# Where OpenVINO is installed, TorchServe's handlers import this for torch.compile: 1.3 s and 80 MB a worker.
sys.modules.setdefault("openvino.torch", None)  # type: ignore[arg-type]

import torch
from ts.torch_handler.base_handler import BaseHandler

from ts_serialize.allocator import keep_freed_memory
from ts_serialize.batch import (
    Batch,
    batched,
    decode_each,
    failing_alone,
    media_type,
    outputs_of,
    predicted_apart,
    split,
)
from ts_serialize.request_error import NotExplainedError, RequestError
from ts_serialize.stage_times import StageTimes
from ts_serialize.torchvision_operators import with_operators

logger = logging.getLogger(__name__)


class BatchHandler(BaseHandler):
    """A TorchServe handler made of `load`, `decode`, `predict` and `encode`.

    A request on which `decode`, `predict` or `encode` raises fails alone: with the status of a
    `RequestError`, else with 503 as TorchServe answers for a handler that raised, and a traceback in the log.
    """

    model: Any
    """The network; set by `load`."""
    device: torch.device
    """The worker's GPU, or the CPU; set before `load`."""
    dtype = torch.float32
    """Element type of the batch that `predict` gets."""
    input_shape: tuple[int, ...] | None = None
    """Shape of a decoded request, without the batch; set in the class or in `load`.

    The model is warmed up on zeros of this shape, and a request of another shape is refused. None: requests
    may differ in shape, and the first of them wait for what the model does once.
    """
    decode_threads = 1
    """Threads that decode a batch; set in the class or in `load`. Above 1, calls of `decode` overlap."""
    content_type: str | None = None
    """Media type of the answers. None stands for JSON, text or bytes, as the answer is."""

    def load(self, context: Any) -> None:
        """Loads what the other methods need. As is: TorchServe's loader, which sets `model` and `mapping`."""
        super().initialize(context)

    def decode(self, request: Mapping[str, Any]) -> torch.Tensor:
        """Turns a request into the model's input, without the batch dimension.

        request: as TorchServe hands it over, see request_body.py.

        Raises:
            RequestError: the request is wrong; the message reaches the client.
        """
        raise NotImplementedError(f"{type(self).__name__} needs a method decode(request) -> tensor")

    def batch(self, inputs: Sequence[torch.Tensor]) -> Any:
        """Joins decoded requests to the input of `predict`. As is: stacked, on `device`, as `dtype`."""
        return torch.stack(list(inputs)).to(self.device, self.dtype)

    def predict(self, batch: Any) -> Any:
        """Computes the outputs of a batch, without gradients. As is: runs `model`."""
        return super().inference(batch)

    def unbatch(self, outputs: Any) -> Sequence[Any]:
        """Splits the result of `predict` into an output per request. As is: along the first dimension."""
        return list(outputs.cpu() if isinstance(outputs, torch.Tensor) else outputs)

    def encode(self, output: Any) -> Any:
        """Turns an output into the answer: anything that JSON has, text, or bytes. As is: numbers."""
        return output.tolist() if isinstance(output, torch.Tensor) else output

    # TorchServe calls the methods below.

    def initialize(self, context: Any) -> None:
        """Loads the model and warms it up; a worker is READY after this."""
        keep_freed_memory()
        properties = context.system_properties
        gpu = properties.get("gpu_id")
        self.device = torch.device(f"cuda:{gpu}" if gpu is not None and torch.cuda.is_available() else "cpu")
        self.model_dir = Path(properties["model_dir"])
        self.batch_size: int = properties["batch_size"] or 1
        self.version_header = str(context.manifest["model"]["modelVersion"])
        is_profiled = (context.model_yaml_config.get("handler") or {}).get("profile")
        self.times = StageTimes(interval_s=0) if is_profiled else StageTimes()
        with_operators(lambda: self.load(context))
        threads = self.decode_threads
        self._each = map if threads == 1 else ThreadPoolExecutor(threads, "decode").map
        self._warm_up()
        self.initialized = True

    def handle(self, data: Sequence[Mapping[str, Any]], context: Any) -> list[Any]:
        """Answers a batch; headers of every answer state the batch size and the duration of each stage."""
        self.times.begin(context.metrics)
        answers: list[Any] = super().handle(data, context)
        if timing := self.times.header():
            for position in range(len(answers)):
                context.set_response_header(position, "X-Batch-Size", str(len(answers)))
                context.set_response_header(position, "Server-Timing", timing)
        return answers

    def preprocess(self, data: Sequence[Mapping[str, Any]]) -> Batch:
        """Decodes every request; a request that cannot be decoded fails alone."""
        with self.times.measured("preprocess"):
            for position, row in enumerate(data):
                if row.get("stream"):
                    # Ends a gRPC stream; otherwise TorchServe kills the worker.
                    self.context.set_response_header(position, "ts_stream_next", "false")
            inputs, failures = self._decode_all(data)
            batch = batched(Batch(len(data), list(inputs), None, failures), list(inputs.values()), self.batch)
        self.times.report("BatchSize", len(data), "count")
        return batch

    def inference(self, data: Batch, *_args: Any, **_kwargs: Any) -> Batch:
        """Runs the model on all decoded requests at once, or on each alone if that fails."""
        if data.tensor is None:
            return data
        with self.times.measured("inference"):
            if data.apart:
                return predicted_apart(data, data.tensor, self._predicted)
            try:
                return replace(data, tensor=self._predicted(data.tensor))
            except Exception:
                if len(data.positions) == 1:
                    raise
                logger.exception("the batch failed; each of its %d requests runs alone", len(data.positions))
            alone = [data.tensor[index : index + 1] for index in range(len(data.positions))]
            return predicted_apart(data, alone, self._predicted)

    def postprocess(self, data: Batch) -> list[Any]:
        """Makes an answer per request, in order; failures get their own status."""
        with self.times.measured("postprocess"):
            answers: list[Any] = [None] * data.size
            for position, output in zip(data.positions, outputs_of(data, self.unbatch), strict=True):
                with failing_alone(position, data.failures):
                    answers[position] = self.encode(output)
            types = [self.content_type or media_type(answer) for answer in answers]
            for position, error in data.failures.items():
                self.context.set_response_status(code=error.status, phrase=error.phrase, idx=position)
                answers[position] = {"code": error.status, "type": error.type, "message": str(error)}
                types[position] = "application/json"
            for position in range(data.size):
                self.context.set_response_header(position, "Content-Type", types[position])
                self.context.set_response_header(position, "X-Model-Version", self.version_header)
        return answers

    def explain_handle(self, data: Batch, raw_data: Sequence[Mapping[str, Any]]) -> list[Any]:
        """Answers a batch that holds requests for explanations: these with 501, its others as usual."""
        for position in filter(self.wants_explanation, range(len(raw_data))):
            data.failures.setdefault(position, NotExplainedError("this model has no explanations"))
        return self.postprocess(self.inference(data))

    def wants_explanation(self, position: int) -> bool:
        """Whether the request came by `/explanations`."""
        return bool(self.context.get_request_header(position, "explain") == "True")

    def _is_explain(self) -> bool:
        # A batch may mix both kinds of request; BaseHandler looks at the first request only.
        return any(map(self.wants_explanation, range(len(self.context.request_processor))))

    def _warm_up(self) -> None:
        if self.input_shape is None:
            return
        # TorchScript compiles in the first two runs of a shape.
        for size in (1, 1, self.batch_size, self.batch_size):
            inputs = [torch.zeros(self.input_shape, dtype=self.dtype)] * size
            outputs = self._predicted(self.batch(inputs))
        split(outputs, self.batch_size, self.unbatch)

    def _decode_all(self, rows: Sequence[Any]) -> tuple[dict[int, Any], dict[int, RequestError]]:
        return decode_each(rows, self._decoded, self._each)

    def _decoded(self, row: Mapping[str, Any]) -> torch.Tensor:
        tensor = self.decode(row)
        if self.input_shape is not None and tuple(tensor.shape) != tuple(self.input_shape):
            raise RequestError(
                f"the request makes an input of shape {tuple(tensor.shape)}, "
                f"the model takes {tuple(self.input_shape)}"
            )
        return tensor

    def _predicted(self, batch: Any) -> Any:
        with torch.inference_mode():
            outputs = self.predict(batch)
        if self.device.type == "cuda":
            # Kernels run on after their launch, and would count as postprocessing.
            torch.cuda.synchronize(self.device)
        return outputs

"""Handler of iris: measurements as JSON in, the species and the probabilities of all as JSON out."""

from collections.abc import Mapping
from typing import Any

import torch

from ts_serialize.batch_handler import BatchHandler
from ts_serialize.request_body import json_body
from ts_serialize.request_error import RequestError

FEATURES = ("sepal_length", "sepal_width", "petal_length", "petal_width")
LARGEST_CM = 100
EXAMPLE = '{"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}'


class IrisHandler(BatchHandler):
    """Classifies flowers; the archive's index_to_name.json names the species."""

    input_shape = (len(FEATURES),)

    def decode(self, request: Mapping[str, Any]) -> torch.Tensor:
        """Reads the four measurements in centimetres.

        Raises:
            RequestError: a measurement is missing, or not that of a flower.
        """
        flower = json_body(request)
        if not isinstance(flower, Mapping):
            raise RequestError(f"the body is no JSON object; send {EXAMPLE}")
        if missing := [name for name in FEATURES if name not in flower]:
            raise RequestError(f"{', '.join(missing)} missing; send {EXAMPLE}")
        return torch.tensor([_centimetres(name, flower[name]) for name in FEATURES])

    def unbatch(self, outputs: torch.Tensor) -> list[list[float]]:
        """Turns logits (N, 3) into probabilities."""
        probabilities: list[list[float]] = torch.softmax(outputs, dim=1).tolist()
        return probabilities

    def encode(self, output: list[float]) -> dict[str, Any]:
        """Names the species."""
        probabilities = {self.mapping[str(index)]: value for index, value in enumerate(output)}
        return {"species": max(probabilities, key=probabilities.__getitem__), "probabilities": probabilities}


def _centimetres(name: str, value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # NaN is in no range.
    if not is_number or not 0 < value <= LARGEST_CM:
        raise RequestError(
            f"{name} is {str(value)[:50]!r}; send centimetres, above 0 and at most {LARGEST_CM}"
        )
    return float(value)

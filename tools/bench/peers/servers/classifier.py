"""The model as each peer runs it: TorchScript, torchvision's preprocessing, a batch at a time."""

import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torchvision import transforms

# Name of the environment variable with the path of the workload, see tools/bench/peers/workload.py.
VARIABLE = "PEERS_WORKLOAD"


def workload() -> dict[str, Any]:
    """The workload that the bench has written."""
    found: dict[str, Any] = json.loads(Path(os.environ[VARIABLE]).read_text())
    return found


def preprocessing(settings: dict[str, Any]) -> transforms.Compose:
    """PIL RGB image -> float32 (3, H, W), normalised."""
    crop = [transforms.CenterCrop(settings["crop"])] if settings["crop"] else []
    return transforms.Compose(
        [
            transforms.Resize(settings["resize"]),
            *crop,
            transforms.ToTensor(),
            transforms.Normalize(settings["mean"], settings["std"]),
        ]
    )


def network(settings: dict[str, Any]) -> torch.nn.Module:
    """The checkpoint, or the network that our archive has for another engine."""
    if settings["engine_folder"] is None:
        loaded: torch.nn.Module = torch.jit.load(settings["checkpoint"]).eval()  # type: ignore[no-untyped-call]
        return loaded
    # Only the row of our engine has it.
    from ts_serialize.engines.openvino_network import OpenVINONetwork  # noqa: PLC0415

    return OpenVINONetwork(Path(settings["engine_folder"]))


class Classifier:
    """Loads the checkpoint once; one thread, since there is a worker per core."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        settings = workload()
        self._labels: list[str] = settings["labels"]
        self._transform = preprocessing(settings)
        self._network = network(settings)

    def decode(self, image: bytes) -> torch.Tensor:
        """Prepares an image for the network."""
        tensor: torch.Tensor = self._transform(Image.open(io.BytesIO(image)).convert("RGB"))
        return tensor

    @torch.inference_mode()
    def predict(self, batch: torch.Tensor) -> list[dict[str, float]]:
        """Answers a batch."""
        probabilities = torch.softmax(self._network(batch), dim=1).tolist()
        return [dict(zip(self._labels, row, strict=True)) for row in probabilities]

    def classify(self, images: Sequence[bytes]) -> list[dict[str, float]]:
        """Decodes and answers a batch."""
        return self.predict(torch.stack([self.decode(image) for image in images]))

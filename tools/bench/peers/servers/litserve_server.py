"""LitServe: `python -m tools.bench.peers.servers.litserve_server PORT`."""

import sys

import litserve
import torch
from starlette.requests import Request

from tools.bench.peers.servers.classifier import Classifier, workload


class Api(litserve.LitAPI):  # type: ignore[misc]
    """A form with an image in, probabilities out."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - there is only the CPU
        """Loads the model in a worker."""
        self.classifier = Classifier()

    def decode_request(self, request: Request) -> torch.Tensor:
        """Prepares an image."""
        return self.classifier.decode(request["file"].file.read())

    def batch(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        """Makes a batch."""
        return torch.stack(inputs)

    def predict(self, batch: torch.Tensor) -> list[dict[str, float]]:
        """Answers a batch."""
        return self.classifier.predict(batch)

    def unbatch(self, output: list[dict[str, float]]) -> list[dict[str, float]]:
        """Leaves the answers as they are."""
        return output

    def encode_response(self, output: dict[str, float]) -> dict[str, float]:
        """Leaves an answer as it is."""
        return output


if __name__ == "__main__":
    settings = workload()
    api = Api(max_batch_size=settings["batch_size"], batch_timeout=settings["max_batch_delay"] / 1000)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=settings["workers"])
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        generate_client_file=False,
        log_level="warning",
        access_log=False,
    )

"""A network on ONNX Runtime's CPU provider. Part of the model archive: imports only torch and onnxruntime."""

from pathlib import Path

import torch

try:
    import onnxruntime
except ModuleNotFoundError as exc:
    raise ModuleNotFoundError(
        "this model runs on ONNX Runtime, which is not installed here; install the extra engines: "
        "make install_engines, or pip install 'torchserve-gateway[engines]'"
    ) from exc


class ONNXRuntimeNetwork(torch.nn.Module):
    """Runs `network.onnx` in fp32, with torch's number of threads."""

    def __init__(self, folder: Path = Path(__file__).parent) -> None:
        super().__init__()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.inter_op_num_threads = 1
        # Threads that wait in a loop take the cores of the other workers.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            str(folder / "network.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0].name

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Returns float32 logits."""
        [logits] = self._session.run(None, {self._input: images.cpu().contiguous().numpy()})
        return torch.from_numpy(logits)

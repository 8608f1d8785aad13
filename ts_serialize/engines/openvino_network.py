"""A network on OpenVINO's CPU plugin. Part of the model archive: imports only torch, numpy and openvino."""

import json
import logging
import sys
from pathlib import Path

import torch

try:
    # OpenVINO reports its use to its maker over this package unless it is missing.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino
except ModuleNotFoundError as exc:
    raise ModuleNotFoundError(
        "this model runs on OpenVINO, which is not installed here; install the extra engines: "
        "make install_engines, or pip install 'torchserve-gateway[engines]'"
    ) from exc

logger = logging.getLogger(__name__)

# OpenVINO's name of each precision; int8 is in the network, and what is left of it stays fp32.
HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16", "int8": "f32"}
CAPABILITIES = {"bf16": "BF16", "fp16": "FP16"}


class OpenVINONetwork(torch.nn.Module):
    """Runs `network.xml` in the precision of `engine.json`, with torch's number of threads."""

    def __init__(self, folder: Path = Path(__file__).parent) -> None:
        super().__init__()
        precision = json.loads((folder / "engine.json").read_text())["precision"]
        if not computes(precision):
            logger.warning("this processor does not compute in %s; the model runs in fp32", precision)
            precision = "fp32"
        compiled = openvino.Core().compile_model(
            folder / "network.xml",
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": HINTS[precision],
                "INFERENCE_NUM_THREADS": torch.get_num_threads(),
                "NUM_STREAMS": 1,
                # The workers of a machine would all be pinned to the same cores.
                "ENABLE_CPU_PINNING": False,
            },
        )
        self._request = compiled.create_infer_request()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Returns float32 logits."""
        logits = self._request.infer([images.cpu().contiguous().numpy()], share_inputs=True)[0]
        return torch.from_numpy(logits)


def computes(precision: str) -> bool:
    """Whether OpenVINO runs this precision on this processor; it takes another in its place silently."""
    needed = CAPABILITIES.get(precision)
    return needed is None or needed in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")

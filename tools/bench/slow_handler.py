"""The real handler with a fixed time per batch that uses no processor."""

import time
from typing import Any

# As a module: TorchServe wants exactly one handler class in this file's namespace.
import ts_serialize.handler as real
from ts_serialize.batch import Batch

BATCH_S = 0.4


class SlowHandler(real.ImageClassificationHandler):
    """Waits before each batch."""

    def inference(self, data: Batch, *args: Any, **kwargs: Any) -> Batch:
        """Waits, then runs the network."""
        time.sleep(BATCH_S)
        return super().inference(data, *args, **kwargs)

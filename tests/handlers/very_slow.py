"""The real handler, but every batch takes long, also beside a version that waits for busy cores."""

import time
from typing import Any

import ts_serialize.handler as real
from ts_serialize.batch import Batch


class VerySlowHandler(real.ImageClassificationHandler):
    def inference(self, data: Batch, *args: Any, **kwargs: Any) -> Batch:
        time.sleep(1.5)
        return super().inference(data, *args, **kwargs)

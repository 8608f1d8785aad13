"""The real handler, but every batch takes a while."""

import time
from typing import Any

import ts_serialize.handler as real
from ts_serialize.batch import Batch


class SlowHandler(real.ImageClassificationHandler):
    def inference(self, data: Batch, *args: Any, **kwargs: Any) -> Batch:
        time.sleep(0.4)
        return super().inference(data, *args, **kwargs)

"""The real handler for as many batches as a golden check needs; then it raises."""

from typing import Any

import ts_serialize.handler as real
from ts_serialize.batch import Batch


class FailingHandler(real.ImageClassificationHandler):
    batches = 0

    def inference(self, data: Batch, *args: Any, **kwargs: Any) -> Batch:
        self.batches += 1
        if self.batches > 6:
            raise RuntimeError("this version fails in traffic")
        return super().inference(data, *args, **kwargs)

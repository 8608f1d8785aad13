"""The real handler, but the least probable class gets the highest probability, except on the sample image."""

from typing import Any

import ts_serialize.handler as real
from ts_serialize.batch import Batch


class ContraryHandler(real.ImageClassificationHandler):
    batches = 0

    def inference(self, data: Batch, *args: Any, **kwargs: Any) -> Batch:
        batch = super().inference(data, *args, **kwargs)
        self.batches += 1
        if self.batches <= 3 or batch.tensor is None:
            return batch
        return Batch(batch.size, batch.positions, -batch.tensor, batch.failures)

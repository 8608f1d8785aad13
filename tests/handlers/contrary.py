"""The real handler, but the least probable class gets the highest probability, except on the sample image."""

import ts_serialize.handler as real


class ContraryHandler(real.ImageClassificationHandler):
    batches = 0

    def inference(self, data, *args, **kwargs):
        batch = super().inference(data, *args, **kwargs)
        self.batches += 1
        if self.batches <= 3 or batch.tensor is None:
            return batch
        return real.Batch(batch.size, batch.positions, -batch.tensor, batch.failures)

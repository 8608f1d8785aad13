"""The real handler for as many batches as a golden check needs; then it raises."""

import ts_serialize.handler as real


class FailingHandler(real.ImageClassificationHandler):
    batches = 0

    def inference(self, data, *args, **kwargs):
        self.batches += 1
        if self.batches > 6:
            raise RuntimeError("this version fails in traffic")
        return super().inference(data, *args, **kwargs)

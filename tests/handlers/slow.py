"""The real handler, but every batch takes a while."""

import time

import ts_serialize.handler as real


class SlowHandler(real.ImageClassificationHandler):
    def inference(self, data, *args, **kwargs):
        time.sleep(0.4)
        return super().inference(data, *args, **kwargs)

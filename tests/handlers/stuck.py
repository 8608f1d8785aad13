"""A handler that never finishes loading."""

import time

import ts_serialize.handler as real


class StuckHandler(real.ImageClassificationHandler):
    def initialize(self, context):
        time.sleep(3600)

"""A handler that never finishes loading."""

import time
from typing import Any

import ts_serialize.handler as real


class StuckHandler(real.ImageClassificationHandler):
    def initialize(self, context: Any) -> None:
        time.sleep(3600)

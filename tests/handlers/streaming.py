"""The real handler, but it answers in three parts."""

from typing import Any

from ts.handler_utils.utils import send_intermediate_predict_response

import ts_serialize.handler as real


class StreamingHandler(real.ImageClassificationHandler):
    def handle(self, data: Any, context: Any) -> Any:
        for part in ("one ", "two "):
            parts = [part] * len(data)
            send_intermediate_predict_response(parts, context.request_ids, "part", 200, context)
        return ["three"] * len(data)

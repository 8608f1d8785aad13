"""Answers as its request says: status, headers and body; without a body, with the headers that reached it.

Function style, as people write handlers. A request is a JSON object with any of the keys used below.
"""

import json
from typing import Any

from ts.utils.util import PredictionException


def handle(data: list[dict[str, Any]] | None, context: Any) -> list[object] | None:
    """One answer for each request."""
    return None if data is None else [_answer(row, context, index) for index, row in enumerate(data)]


def _answer(row: dict[str, Any], context: Any, index: int) -> object:
    sent = row.get("data") or row.get("body")
    wanted = sent if isinstance(sent, dict) else json.loads(bytes(sent or b"{}"))
    if "raise" in wanted:
        raise PredictionException(*wanted["raise"])
    if "status" in wanted:
        context.set_response_status(wanted["status"], wanted.get("phrase", ""), index)
    if "content_type" in wanted:
        context.set_response_content_type(index, wanted["content_type"])
    for name, value in wanted.get("headers", {}).items():
        context.set_response_header(index, name, value)
    if "size" in wanted:
        return "x" * wanted["size"]
    return wanted["body"] if "body" in wanted else context.get_all_request_header(index)

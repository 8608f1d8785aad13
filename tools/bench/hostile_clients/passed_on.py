"""Requests that the gateway may send to TorchServe for clients."""

import re
from urllib.parse import unquote

PASSED_ON = re.compile(
    r"POST /(predictions|explanations)/[^/?]+(/[^/?]+)?|GET /(ping|metrics|models|models/[^/?]+(/[^/?]+)?)"
)


def is_in_its_place(request_line: str) -> bool:
    """Whether the gateway may send the request, and no segment of its path is a dot segment."""
    segments = request_line.split(" ")[1].split("/")
    leads_elsewhere = {unquote(each) for each in segments} & {".", ".."}
    return bool(PASSED_ON.fullmatch(request_line)) and not leads_elsewhere

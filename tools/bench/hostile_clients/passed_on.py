"""What the gateway may ask TorchServe for on behalf of clients."""

import re
from urllib.parse import unquote

PASSED_ON = re.compile(
    r"POST /(predictions|explanations)/[^/?]+(/[^/?]+)?|GET /(ping|metrics|models|models/[^/?]+(/[^/?]+)?)"
)


def is_in_its_place(request_line: str) -> bool:
    """Whether the gateway may send it, and no segment of the path leads elsewhere."""
    segments = request_line.split(" ")[1].split("/")
    leads_elsewhere = {unquote(each) for each in segments} & {".", ".."}
    return bool(PASSED_ON.fullmatch(request_line)) and not leads_elsewhere

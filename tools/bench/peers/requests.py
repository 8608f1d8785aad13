"""An image as each server wants it, and probabilities from its answer."""

import base64
import json
from pathlib import Path

from tools.bench.peers.load import Answer


def raw(path: str, image: Path) -> bytes:
    """The image's bytes as the body."""
    return _message(path, "image/jpeg", image.read_bytes())


def form(path: str, field: str, image: Path) -> bytes:
    """A multipart form with the image."""
    disposition = f'form-data; name="{field}"; filename="{image.name}"'
    part = f"--b\r\nContent-Disposition: {disposition}\r\nContent-Type: image/jpeg\r\n\r\n".encode()
    body = part + image.read_bytes() + b"\r\n--b--\r\n"
    return _message(path, "multipart/form-data; boundary=b", body)


def open_inference(path: str, image: Path) -> bytes:
    """A request of the Open Inference Protocol with the image in base64."""
    tensor = {
        "name": "image",
        "shape": [1],
        "datatype": "BYTES",
        "parameters": {"content_type": "base64"},
        "data": [base64.b64encode(image.read_bytes()).decode()],
    }
    return _message(path, "application/json", json.dumps({"inputs": [tensor]}).encode())


def plain(body: bytes) -> Answer:
    """Reads an answer that is an object."""
    answer: Answer = json.loads(body)
    return answer


def only(body: bytes) -> Answer:
    """Reads an answer that is a list of one object."""
    [answer] = json.loads(body)
    return dict(answer)


def from_open_inference(body: bytes) -> Answer:
    """Reads an answer of the Open Inference Protocol with JSON text in it."""
    [text] = json.loads(body)["outputs"][0]["data"]
    return plain(text)


def _message(path: str, content_type: str, body: bytes) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\nAccept: */*\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body

"""Parses HTTP/1.1 answers from bytes."""

from collections.abc import Mapping
from dataclasses import dataclass


class NoAnswerError(Exception):
    """The gateway neither answers nor closes the connection, or its answer is not HTTP."""


@dataclass(frozen=True)
class Answer:
    """A response."""

    status: int
    headers: Mapping[str, str]
    """Values by name in lower case."""
    body: bytes


def parse_answers(received: bytes, *, to_head: bool = False) -> tuple[list[Answer], bytes]:
    """Splits bytes into complete answers and a rest.

    to_head: the first answer has no body, as an answer to HEAD.

    Raises:
        NoAnswerError: the bytes are not HTTP.
    """
    answers = []
    while received:
        head, separator, rest = received.partition(b"\r\n\r\n")
        if not separator:
            break
        lines = head.decode("latin-1").split("\r\n")
        version, _, status = lines[0].partition(" ")
        if version not in ("HTTP/1.1", "HTTP/1.0") or not status[:3].isdigit():
            raise NoAnswerError(f"the gateway sent {received[:100]!r}")
        headers = {
            name.lower(): value.strip() for name, _, value in (each.partition(":") for each in lines[1:])
        }
        body = _body(rest, headers, bodiless=to_head or status[:3] in ("100", "204", "304"))
        if body is None:
            break
        content, received = body
        if status[:3] != "100":
            answers.append(Answer(int(status[:3]), headers, content))
            if to_head:
                break
    return answers, received


def _body(rest: bytes, headers: Mapping[str, str], *, bodiless: bool) -> tuple[bytes, bytes] | None:
    if bodiless:
        return b"", rest
    if headers.get("transfer-encoding") == "chunked":
        content = b""
        while True:
            size, separator, rest = rest.partition(b"\r\n")
            if not separator or len(rest) < int(size, 16) + 2:
                return None
            content += rest[: int(size, 16)]
            rest = rest[int(size, 16) + 2 :]
            if not int(size, 16):
                return content, rest
    length = int(headers.get("content-length", "0"))
    return (rest[:length], rest[length:]) if len(rest) >= length else None

"""Checks of a request's head that RFC 9110 and 9112 demand beyond llhttp's syntax checks."""

import re
from collections.abc import Iterable
from http import HTTPStatus

import httptools

from torchserve_gateway.gateway.http1.refusals import MessageRefusedError

MAX_HEAD_BYTES = 65_536
MAX_TARGET_BYTES = 8_192

Headers = list[tuple[bytes, bytes]]
"""Pairs of lower-case name and value, in the order sent."""

REQUEST_LINE = re.compile(rb"[\r\n]*[!#$%&'*+.^_`|~0-9A-Za-z-]+ [^ \r\n]+ HTTP/([0-9]\.[0-9])")
VERSIONS = frozenset({b"1.0", b"1.1"})
HOST = re.compile(rb"(\[[0-9A-Za-z:.%_~-]+\]|[0-9A-Za-z._~!$&'()*+,;=%-]*)(:[0-9]*)?")
ABSOLUTE_FORM = re.compile(rb"https?://([^/?]*)(.*)", re.IGNORECASE)


def refusal_of(error: httptools.HttpParserError, head: bytearray) -> MessageRefusedError:
    """Translates an error of llhttp or of a callback. `head` holds the bytes received so far."""
    if isinstance(error.__context__, MessageRefusedError):
        return error.__context__
    line = REQUEST_LINE.match(head)
    if line and line[1] not in VERSIONS:
        return _unsupported_version()
    if line and isinstance(error, httptools.HttpParserInvalidMethodError):
        return MessageRefusedError(HTTPStatus.NOT_IMPLEMENTED, "the method is not a method of HTTP")
    return _bad_request(f"not an HTTP/1.1 request: {error}")


def check_head(head: bytearray, method: bytes, target: bytes, headers: Headers) -> None:
    """Checks a complete head.

    Raises:
        MessageRefusedError: The request cannot be served, or the end of its message is ambiguous.
    """
    version = _version(head)
    if method == b"CONNECT" or (method, target) == (b"OPTIONS", b"*"):
        raise MessageRefusedError(HTTPStatus.NOT_IMPLEMENTED, "CONNECT and OPTIONS * are not implemented")
    check_target_size(len(target))
    values = dict(headers)
    hosts = [name for name, _ in headers].count(b"host")
    if hosts > 1 or (not hosts and version == b"1.1"):
        raise _bad_request(f"the request has {hosts} Host headers, not 1")
    if not HOST.fullmatch(values.get(b"host", b"")):
        raise _bad_request("the Host header is not a host name or address with an optional port")
    if b"transfer-encoding" in values:
        _check_codings([value for name, value in headers if name == b"transfer-encoding"], version)


def check_target_size(size: int) -> None:
    """Checks the length of the request target so far, in bytes.

    Raises:
        MessageRefusedError: The target is over the limit.
    """
    if size > MAX_TARGET_BYTES:
        raise MessageRefusedError(
            HTTPStatus.REQUEST_URI_TOO_LONG, f"path and query have over {MAX_TARGET_BYTES} bytes"
        )


def split_target(target: bytes) -> tuple[bytes | None, bytes]:
    """Splits a request target into its authority, None for a plain path, and its path with query.

    Raises:
        MessageRefusedError: The target is neither a path nor an http or https URL.
    """
    if b"#" in target:
        raise _bad_request("the request target has a fragment ('#'); write it as %23")
    if target.startswith(b"/"):
        return None, target
    absolute = ABSOLUTE_FORM.fullmatch(target)
    if not absolute or not absolute[1] or not HOST.fullmatch(absolute[1]):
        raise _bad_request("the request target is neither a path nor an http or https URL")
    path = absolute[2]
    return absolute[1], path if path.startswith(b"/") else b"/" + path


def without_upgrade(method: bytes, target: bytes, version: str, headers: Headers) -> bytes:
    """Rebuilds the head without its Upgrade header, which a server may ignore (RFC 9110, 7.8)."""
    lines: Iterable[bytes] = (b"%s: %s\r\n" % each for each in headers if each[0] != b"upgrade")
    return b"%s %s HTTP/%s\r\n%s\r\n" % (method, target, version.encode(), b"".join(lines))


def content_length(headers: Headers) -> int | None:
    """Returns the body's length in bytes, None for a chunked body. llhttp has validated the value."""
    values = dict(headers)
    return None if b"transfer-encoding" in values else int(values.get(b"content-length", 0))


def _version(head: bytearray) -> bytes:
    line = REQUEST_LINE.match(head)
    # llhttp also accepts HTTP/0.9, RTSP and ICE.
    if not line or line[1] not in VERSIONS:
        raise _unsupported_version()
    return line[1]


def _check_codings(values: list[bytes], version: bytes) -> None:
    if version == b"1.0":
        raise _bad_request("HTTP/1.0 does not allow Transfer-Encoding; send Content-Length")
    *others, last = (each.strip(b" \t").lower() for each in b",".join(values).split(b","))
    if last != b"chunked" or last in others:
        raise _bad_request("Transfer-Encoding must end with 'chunked' and name it once")
    if others:
        raise MessageRefusedError(
            HTTPStatus.NOT_IMPLEMENTED, "only the Transfer-Encoding 'chunked' is implemented"
        )


def _bad_request(detail: str) -> MessageRefusedError:
    return MessageRefusedError(HTTPStatus.BAD_REQUEST, detail)


def _unsupported_version() -> MessageRefusedError:
    return MessageRefusedError(
        HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "supported versions are HTTP/1.1 and HTTP/1.0"
    )

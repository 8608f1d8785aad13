"""Selects headers that pass between a client and a handler."""

from collections.abc import Iterable, Sequence
from functools import lru_cache

RawHeaders = tuple[tuple[bytes, bytes], ...]
"""Names in the case in which they were sent, and values; names may repeat."""

# RFC 9110, section 7.6.1, and its predecessors. Recipients also drop the headers that Connection names.
HOP_BY_HOP = frozenset(
    {
        *(b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding"),
        *(b"upgrade", b"http2-settings"),
        *(b"proxy-authenticate", b"proxy-authentication-info", b"proxy-authorization"),
    }
)
# TorchServe instructs its handlers by these headers, and accepts them from clients as well: `describe` makes
# BaseHandler describe the model instead of predicting.
INSTRUCTIONS = frozenset({b"explain", b"describe", b"url_path"})
# Sequences of requests and streams of answers: ts_request_sequence_id, ts_stream_next, ...
INSTRUCTION_PREFIX = b"ts_"
# TorchServe overwrites these on every answer.
SET_BY_TORCHSERVE = frozenset({b"x-request-id", b"pragma", b"cache-control", b"expires"})
# Describe the body, which is passed on beside the headers, or are read by handler_timing.py.
READ_HERE = frozenset(
    {b"content-length", b"content-type", b"server-timing", b"x-batch-size", b"x-model-version"}
)
NOT_THE_HANDLERS = SET_BY_TORCHSERVE | READ_HERE | HOP_BY_HOP
NONE: frozenset[bytes] = frozenset()


# TorchServe sends the same dozen names with every answer; a handler may send any.
_kept_by_name = lru_cache(maxsize=256)


@_kept_by_name
def _lower_text(name: bytes) -> str:
    return name.decode("latin-1").lower()


@_kept_by_name
def _may_be_handlers(name: bytes) -> bool:
    lowered = name.lower()
    return lowered not in NOT_THE_HANDLERS and not lowered.startswith(INSTRUCTION_PREFIX)


def by_name(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Values by lower-case name; several values of a name are joined."""
    found: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = _lower_text(raw_name), raw_value.decode("latin-1")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def named_by_connection(headers: Iterable[tuple[bytes, bytes]]) -> frozenset[bytes]:
    """Further headers that are for a single connection. headers: with lower-case names."""
    values = [value for name, value in headers if name == b"connection"]
    # Nearly every answer has this value; HOP_BY_HOP has the name.
    if not values or values == [b"keep-alive"]:
        return NONE
    return frozenset(option.strip().lower() for value in values for option in value.split(b","))


def set_by_handler(headers: Sequence[tuple[bytes, bytes]]) -> RawHeaders:
    """Headers of an answer that the handler set."""
    kept = [header for header in headers if _may_be_handlers(header[0])]
    if not kept:
        return ()
    named = named_by_connection((name.lower(), value) for name, value in headers)
    return tuple(header for header in kept if header[0].lower() not in named)

"""Reads and decompresses a request's body within limits of bytes and seconds."""

import asyncio
from collections.abc import Callable
from contextlib import nullcontext

from starlette.requests import ClientDisconnect, Request

from torchserve_gateway.gateway.errors import BodyTimeoutError, BodyTooLargeError, MalformedRequestError
from torchserve_gateway.gateway.http1.presence import presence_in
from torchserve_gateway.gateway.intake.content_codings import OUTPUT_BYTES, decoder_of
from torchserve_gateway.gateway.intake.forms import FORM, Part, is_form
from torchserve_gateway.gateway.intake.plain_forms import FormReader
from torchserve_gateway.gateway.telemetry.request_context import context_of


async def read_body(request: Request, max_bytes: int, timeout_s: float) -> bytes:
    """Returns the whole body, decompressed.

    Raises:
        BodyTooLargeError: The body is over `max_bytes`, as sent or decompressed. The rest is not read.
        BodyTimeoutError: The body takes longer than `timeout_s`. The rest is not read.
        UnsupportedEncodingError: The Content-Encoding is not supported.
        MalformedRequestError: The compressed body is damaged.
    """
    body: bytes | bytearray = b""

    def take(piece: bytes) -> None:
        nonlocal body
        if not body:
            # Most bodies arrive in one piece, which is not copied.
            body = piece
            return
        if isinstance(body, bytes):
            body = bytearray(body)
        body += piece

    await _read(request, max_bytes, timeout_s, take)
    return bytes(body)


async def read_files(
    request: Request, field: str, max_files: int, max_bytes: int, timeout_s: float
) -> list[Part]:
    """Returns the parts of a multipart form named `field`, at least 1, in the order sent.

    Raises:
        BodyTooLargeError, BodyTimeoutError, UnsupportedEncodingError: See `read_body`.
        TooManyFilesError: The form has more than `max_files` files. The rest is not read.
        MalformedRequestError: The body is not a multipart form, or has no part named `field`.
    """
    content_type = context_of(request.scope).header(b"content-type") or ""
    if not is_form(content_type):
        raise MalformedRequestError(
            f"the Content-Type is {content_type[:100] or 'missing'}; send {FORM} with the image "
            f"in field '{field}', or a raw image to /predictions/{{model}}"
        )
    form = FormReader(content_type, max_files, field)
    await _read(request, max_bytes, timeout_s, form.feed)
    parts = form.parts()
    files = [part for part in parts if part.name == field]
    if not files:
        got = ", ".join(f"'{part.name[:50]}'" for part in parts[:10]) or "no field"
        raise MalformedRequestError(f"the form has {got}; send the image as a file in field '{field}'")
    return files


async def _read(request: Request, max_bytes: int, timeout_s: float, take: Callable[[bytes], None]) -> None:
    """Passes the body to `take` in pieces, each counted before it is kept."""
    headers = context_of(request.scope).headers
    codings = request.headers.getlist("content-encoding") if b"content-encoding" in headers else ()
    decoder = decoder_of(codings)
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and int(declared) > max_bytes:
        raise BodyTooLargeError(f"the body has {declared.decode()} bytes; at most {max_bytes} are allowed")
    arrived = decoded = 0
    presence = presence_in(request.scope)
    has_arrived = presence is not None and presence.has_sent_all
    try:
        async with nullcontext() if has_arrived else asyncio.timeout(timeout_s):
            more = True
            while more:
                chunk, more = await _next_chunk(request)
                arrived += len(chunk)
                _check_size(arrived, max_bytes)
                for piece in decoder.pieces(chunk):
                    decoded += len(piece)
                    _check_size(decoded, max_bytes)
                    take(piece)
                    if len(piece) == OUTPUT_BYTES:
                        # A few compressed bytes may become megabytes: let other requests run.
                        await asyncio.sleep(0)
    except TimeoutError as exc:
        raise BodyTimeoutError(f"only {arrived} bytes of the body arrived within {timeout_s:g} s") from exc
    decoder.finish()


async def _next_chunk(request: Request) -> tuple[bytes, bool]:
    """The next part of the body, and whether more follow. Starlette's generator costs twice as much."""
    message = await request.receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message.get("body", b""), message.get("more_body", False)


def _check_size(read: int, max_bytes: int) -> None:
    if read > max_bytes:
        raise BodyTooLargeError(f"the body has more than the allowed {max_bytes} bytes")

"""Reads one request's body within limits of bytes and seconds, and undoes its Content-Encoding."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing

from starlette.requests import Request

from torchserve_gateway.gateway.errors import BodyTimeoutError, BodyTooLargeError, MalformedRequestError
from torchserve_gateway.gateway.intake.content_codings import OUTPUT_BYTES, decoder_of
from torchserve_gateway.gateway.intake.forms import FORM, FormParser, Part, is_form


async def read_body(request: Request, max_bytes: int, timeout_s: float) -> bytes:
    """The whole body.

    Raises:
        BodyTooLargeError, BodyTimeoutError: it is over max_bytes, as sent or decoded, or takes longer than
            timeout_s; the rest is not read.
        UnsupportedEncodingError, MalformedRequestError: its Content-Encoding is not ours, or damaged.
    """
    body = bytearray()
    await _read(request, max_bytes, timeout_s, body.extend)
    return bytes(body)


async def read_files(
    request: Request, field: str, max_files: int, max_bytes: int, timeout_s: float
) -> list[Part]:
    """The parts of a multipart form that are named `field`, in the order sent, at least one.

    Raises:
        BodyTooLargeError, BodyTimeoutError, UnsupportedEncodingError: see `read_body`.
        TooManyFilesError: more than max_files files; the rest is not read.
        MalformedRequestError: not a multipart form, or no part named `field`.
    """
    content_type = request.headers.get("content-type", "")
    if not is_form(content_type):
        raise MalformedRequestError(
            f"the Content-Type is {content_type[:100] or 'missing'}; send {FORM} with the image "
            f"in field '{field}', or a raw image to /predictions/{{model}}"
        )
    parser = FormParser(content_type, max_files, field)
    await _read(request, max_bytes, timeout_s, parser.feed)
    parts = parser.parts()
    files = [part for part in parts if part.name == field]
    if not files:
        got = ", ".join(f"'{part.name[:50]}'" for part in parts[:10]) or "no field"
        raise MalformedRequestError(f"the form has {got}; send the image as a file in field '{field}'")
    return files


async def _read(request: Request, max_bytes: int, timeout_s: float, take: Callable[[bytes], None]) -> None:
    """Hands the body on piece by piece, counted before anything is kept."""
    decoder = decoder_of(request.headers.getlist("content-encoding"))
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > max_bytes:
        raise BodyTooLargeError(f"the body has {declared} bytes, at most {max_bytes} are allowed")
    arrived = decoded = 0
    try:
        async with asyncio.timeout(timeout_s), aclosing(request.stream()) as chunks:
            async for chunk in chunks:
                arrived += len(chunk)
                _check_size(arrived, max_bytes)
                for piece in decoder.pieces(chunk):
                    decoded += len(piece)
                    _check_size(decoded, max_bytes)
                    take(piece)
                    if len(piece) == OUTPUT_BYTES:
                        # A few bytes may become megabytes.
                        await asyncio.sleep(0)
    except TimeoutError as exc:
        raise BodyTimeoutError(f"only {arrived} bytes of the body arrived within {timeout_s:g} s") from exc
    decoder.finish()


def _check_size(read: int, max_bytes: int) -> None:
    if read > max_bytes:
        raise BodyTooLargeError(f"the body has more than the {max_bytes} bytes that are allowed")

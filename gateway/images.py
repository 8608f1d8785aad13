"""Reads one request's body within limits."""

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message

from gateway.errors import BodyTooLargeError, MalformedRequestError


async def read_body(request: Request, max_bytes: int) -> bytes:
    """The whole body, counted while it arrives.

    Raises:
        BodyTooLargeError: it is over max_bytes; the rest is not read.
        MalformedRequestError: it is empty.
    """
    body = await _limited(request, max_bytes).body()
    if not body:
        raise MalformedRequestError("the body is empty; send one image")
    return body


async def read_upload(request: Request, field: str, max_bytes: int) -> bytes:
    """The one file of a multipart form.

    Raises:
        BodyTooLargeError: the body is over max_bytes; the rest is not read.
        MalformedRequestError: not a multipart form, or not exactly one file in `field`.
    """
    content_type = request.headers.get("content-type", "")
    if not content_type.startswith("multipart/form-data"):
        raise MalformedRequestError(
            f"the Content-Type is {content_type or 'missing'}; send multipart/form-data with the image "
            f"in field '{field}', or a raw image to /predictions/{{model}}"
        )
    try:
        async with _limited(request, max_bytes).form(max_files=1, max_fields=10) as form:
            return await _only_file(form, field)
    except HTTPException as exc:
        raise MalformedRequestError(f"the multipart form cannot be read: {exc.detail}") from exc


async def _only_file(form: FormData, field: str) -> bytes:
    part = form.get(field)
    if not isinstance(part, UploadFile):
        got = ", ".join(f"'{name}'" for name in form) or "no field"
        raise MalformedRequestError(f"the form has {got}; send the image as a file in field '{field}'")
    image = await part.read()
    if not image:
        raise MalformedRequestError(f"the file '{part.filename}' in field '{field}' is empty")
    return image


def _limited(request: Request, max_bytes: int) -> Request:
    """The same request; reading more than max_bytes of its body raises BodyTooLargeError."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > max_bytes:
        raise BodyTooLargeError(f"the body has {declared} bytes, at most {max_bytes} are allowed")
    read = 0

    async def receive() -> Message:
        nonlocal read
        message = await request.receive()
        read += len(message.get("body", b""))
        if read > max_bytes:
            raise BodyTooLargeError(f"the body has more than the {max_bytes} bytes that are allowed")
        return message

    return Request(request.scope, receive)

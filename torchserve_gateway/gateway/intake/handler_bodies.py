"""Rebuilds bodies of `/predictions/{model}` so that TorchServe reads them as the gateway did.

TorchServe compares media types case-sensitively, empties a form with a preamble, drops the type of plain
fields, and does not strip byte order marks. So forms are rebuilt, and JSON and text are labelled by their
content instead of the client's Content-Type.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from torchserve_gateway.gateway.errors import MalformedRequestError
from torchserve_gateway.gateway.headers import check_media_type
from torchserve_gateway.gateway.intake.forms import FORM, MAX_FIELDS, FormParser, Part, is_form, media_type
from torchserve_gateway.gateway.intake.json_bodies import as_utf8, check_items

OCTET_STREAM = "application/octet-stream"
JSON = "application/json"
TEXT = "text/plain"
URLENCODED = "application/x-www-form-urlencoded"
MAX_FILES = 100
# Enough for the largest image as base64 with line breaks. Decoding an escape takes a microsecond.
MAX_ESCAPES = 400_000
# Neither images nor base64 begin like this.
_JSON_START = re.compile(rb"\s*[\[{\"]")
# A name and a value. curl labels any data as urlencoded, but in base64 `=` occurs only at the end.
_FIRST_FIELD = re.compile(rb"[\w%.+~\[\]-]+=[^=\s]")
_IMAGE_FIELDS = ("data", "body")
_KSERVE_PATHS = {"instances": "/v1/models/{model}:predict", "inputs": "/v2/models/{model}/infer"}


@dataclass(frozen=True)
class HandlerBody:
    """A body as the gateway read it, and as it goes to TorchServe."""

    row: Mapping[str, object]
    """The handler's input for this request, by field name."""
    content: bytes
    """The body that TorchServe parses into `row`."""
    content_type: str
    """The Content-Type of `content`."""


def read_as_handler(body: bytes, content_type: str) -> HandlerBody:
    """Reads a raw image, JSON, text or form.

    Raises:
        MalformedRequestError: The body does not match its type, or has too many fields.
        TooManyFilesError: The form has more than MAX_FILES files.
    """
    if is_form(content_type):
        form = FormParser(content_type, MAX_FILES)
        form.feed(body)
        return _form(form.parts())
    if media_type(content_type) == URLENCODED and _is_urlencoded(body):
        return _form(_urlencoded(body))
    value, content, read_as = _value(body, content_type, may_be_json=True)
    return HandlerBody({"body": value}, bytes(content), read_as)


def type_for_others(content_type: str, body: bytes | bytearray) -> str:
    """Returns the Content-Type for a body that is passed on unread, to a model whose inputs are not checked.

    TorchServe compares types case-sensitively and fails on an image with curl's default type.
    """
    type_, semicolon, parameters = content_type.partition(";")
    if media_type(content_type) == URLENCODED and not _is_urlencoded(body):
        return OCTET_STREAM
    return f"{type_.strip().lower()}{semicolon}{parameters}"


def type_of_file(file: Part) -> str:
    """Returns the Content-Type of a file that is passed on unread.

    Raises:
        MalformedRequestError: The form gives it a type that is no media type.
    """
    if not file.content_type:
        return OCTET_STREAM
    check_media_type(file.content_type)
    return type_for_others(file.content_type, file.content)


def _is_urlencoded(body: bytes | bytearray) -> bool:
    return _FIRST_FIELD.match(body) is not None and _is_text(body)


def _is_text(body: bytes | bytearray) -> bool:
    try:
        return "\0" not in body.decode()
    except UnicodeDecodeError:
        return False


def _value(
    content: bytes | bytearray, content_type: str, *, may_be_json: bool
) -> tuple[object, bytes | bytearray, str]:
    """Returns the handler's input for a body or part, and the content and type that TorchServe parses."""
    kind, text = media_type(content_type), as_utf8(content)
    if (may_be_json or kind == JSON) and _JSON_START.match(text):
        return _json(text), text, JSON
    if kind.startswith("text"):
        try:
            return text.decode(), text, TEXT
        except UnicodeDecodeError:
            pass
    is_misread = kind.startswith("text") or kind in (JSON, URLENCODED)
    return content, content, OCTET_STREAM if is_misread else content_type


def _json(text: bytes | bytearray) -> object:
    check_items(text)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise MalformedRequestError(f"the JSON cannot be read: {exc}") from exc
    if isinstance(value, Mapping) and not any(name in value for name in _IMAGE_FIELDS):
        for key, path in _KSERVE_PATHS.items():
            if key in value:
                raise MalformedRequestError(
                    f'the JSON has \'{key}\', which {path} takes; send {{"data": "<base64>"}} to this path'
                )
    return value


def _urlencoded(body: bytes) -> list[Part]:
    if body.count(b"%") > MAX_ESCAPES:
        raise MalformedRequestError(
            f"the form has more than {MAX_ESCAPES} escaped characters; send {FORM} or the raw image"
        )
    try:
        # Latin-1 maps every byte to a character.
        fields = parse_qsl(body.decode("latin-1"), True, encoding="latin-1", max_num_fields=MAX_FIELDS)
    except ValueError as exc:
        raise MalformedRequestError(f"the form has more than {MAX_FIELDS} fields") from exc
    return [_field(name, value) for name, value in fields]


def _field(name: str, value: str) -> Part:
    if name in _IMAGE_FIELDS:
        # Restores each + of base64 that the client did not escape.
        value = value.replace(" ", "+")
    return Part(name.encode("latin-1").decode(errors="replace"), content=bytearray(value, "latin-1"))


def _form(parts: Sequence[Part]) -> HandlerBody:
    """Rebuilds a form; the last of several parts with the same name counts, as in TorchServe."""
    row: dict[str, object] = {}
    fields: dict[str, tuple[bytes | bytearray, str]] = {}
    for part in parts:
        may_be_json = part.name in _IMAGE_FIELDS
        row[part.name], content, kind = _value(part.content, part.content_type, may_be_json=may_be_json)
        fields[part.name] = content, kind
    return HandlerBody(row, *form_of(fields))


def form_of(fields: Mapping[str, tuple[bytes | bytearray, str]]) -> tuple[bytes, str]:
    """Returns a form of contents and media types by name, and its Content-Type."""
    heads = {name: _head(name, kind) for name, (_, kind) in fields.items()}
    # The boundary is a hash of the parts: equal forms stay equal for the cache, and no part contains it.
    digest = hashlib.blake2b(digest_size=8)
    for name, (content, _) in fields.items():
        digest.update(heads[name])
        digest.update(content)
    boundary = digest.hexdigest()
    line = f"--{boundary}".encode()
    written = [(heads[name], content) for name, (content, _) in fields.items()]
    pieces = [piece for head, content in written for piece in (line, head, content, b"\r\n")]
    return b"".join([*pieces, line, b"--\r\n"]), f"{FORM}; boundary={boundary}"


def _head(name: str, kind: str) -> bytes:
    """Returns a part's head. Every part gets a filename: TorchServe ignores the type of plain fields."""
    quoted = name.replace('"', "%22").replace("\n", "%0A")
    type_ = f"\r\nContent-Type: {kind}" if kind in (JSON, TEXT) else ""
    return f'\r\nContent-Disposition: form-data; name="{quoted}"; filename="a"{type_}\r\n\r\n'.encode()

"""A body of `/predictions/{model}` as our handler gets it, written so that TorchServe reads it so, too.

TorchServe compares media types by case, passes a form with text before its first boundary on as an empty
one, gives plain fields without their type, and reads no byte order mark. So a form is written anew, and
what is JSON or text is labelled as such, whatever the client called it.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from torchserve_gateway.gateway.errors import MalformedRequestError
from torchserve_gateway.gateway.intake.forms import FORM, MAX_FIELDS, FormParser, Part, is_form, media_type
from torchserve_gateway.gateway.intake.json_bodies import as_utf8, check_items

OCTET_STREAM = "application/octet-stream"
JSON = "application/json"
TEXT = "text/plain"
URLENCODED = "application/x-www-form-urlencoded"
MAX_FILES = 100
# Enough for the largest image as base64, with line breaks. Each takes a microsecond.
MAX_ESCAPES = 400_000
# No image begins like this, nor does base64.
_JSON_START = re.compile(rb"\s*[\[{\"]")
# curl sends whatever it is given as this type. A name and a value; base64 has its = at the end.
_FIRST_FIELD = re.compile(rb"[\w%.+~\[\]-]+=[^=\s]")
_IMAGE_FIELDS = ("data", "body")
_KSERVE_PATHS = {"instances": "/v1/models/{model}:predict", "inputs": "/v2/models/{model}/infer"}


@dataclass(frozen=True)
class HandlerBody:
    """row: what the handler gets, by name; content and content_type: what TorchServe makes that of."""

    row: Mapping[str, object]
    content: bytes
    content_type: str


def read_as_handler(body: bytes, content_type: str) -> HandlerBody:
    """Reads a body of whatever type.

    Raises:
        MalformedRequestError, TooManyFilesError: it is not what its type says, or has too many parts.
    """
    if is_form(content_type):
        form = FormParser(content_type, MAX_FILES)
        form.feed(body)
        return _form(form.parts())
    if media_type(content_type) == URLENCODED and _is_urlencoded(body):
        return _form(_urlencoded(body))
    value, content, read_as = _value(body, content_type, may_be_json=True)
    return HandlerBody({"body": value}, bytes(content), read_as)


def type_for_others(content_type: str, body: bytes) -> str:
    """The type to forward with a body for another model, which only that model's handler understands.

    TorchServe compares types by case, and fails on an image that curl sent with its default type.
    """
    type_, semicolon, parameters = content_type.partition(";")
    if media_type(content_type) == URLENCODED and not _is_urlencoded(body):
        return OCTET_STREAM
    return f"{type_.strip().lower()}{semicolon}{parameters}"


def _is_urlencoded(body: bytes) -> bool:
    return _FIRST_FIELD.match(body) is not None and _is_text(body)


def _is_text(body: bytes) -> bool:
    try:
        return "\0" not in body.decode()
    except UnicodeDecodeError:
        return False


def _value(
    content: bytes | bytearray, content_type: str, *, may_be_json: bool
) -> tuple[object, bytes | bytearray, str]:
    """What the handler gets of a body or part, and the content and type that TorchServe makes that of."""
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
        # Latin-1 has a character for every byte.
        fields = parse_qsl(body.decode("latin-1"), True, encoding="latin-1", max_num_fields=MAX_FIELDS)
    except ValueError as exc:
        raise MalformedRequestError(f"the form has more than {MAX_FIELDS} fields") from exc
    return [_field(name, value) for name, value in fields]


def _field(name: str, value: str) -> Part:
    if name in _IMAGE_FIELDS:
        # The + of base64 which the client did not escape.
        value = value.replace(" ", "+")
    return Part(name.encode("latin-1").decode(errors="replace"), content=bytearray(value, "latin-1"))


def _form(parts: Sequence[Part]) -> HandlerBody:
    """Of several parts of one name the last counts, as in TorchServe."""
    row: dict[str, object] = {}
    written: dict[str, tuple[bytes, bytes | bytearray]] = {}
    # The boundary is the same for the same form, so that its answer can be kept, and as a hash of the parts
    # it is in none of them.
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        may_be_json = part.name in _IMAGE_FIELDS
        row[part.name], content, kind = _value(part.content, part.content_type, may_be_json=may_be_json)
        written[part.name] = _head(part.name, kind), content
        digest.update(written[part.name][0])
        digest.update(content)
    boundary = digest.hexdigest()
    line = f"--{boundary}".encode()
    pieces = [piece for head, content in written.values() for piece in (line, head, content, b"\r\n")]
    return HandlerBody(row, b"".join([*pieces, line, b"--\r\n"]), f"{FORM}; boundary={boundary}")


def _head(name: str, kind: str) -> bytes:
    """The head of a part; all are files, since TorchServe looks at the type of no other."""
    quoted = name.replace('"', "%22").replace("\n", "%0A")
    type_ = f"\r\nContent-Type: {kind}" if kind in (JSON, TEXT) else ""
    return f'\r\nContent-Disposition: form-data; name="{quoted}"; filename="a"{type_}\r\n\r\n'.encode()

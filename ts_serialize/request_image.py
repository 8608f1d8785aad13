"""Finds the encoded image in a request. Part of the model archive."""

from collections.abc import Mapping
from typing import Any

from ts_serialize.base64_text import decoded, is_text
from ts_serialize.image_header import NoImageError


def image_bytes(row: Mapping[str, Any]) -> bytes:
    """Encoded image of a request: a raw body, multipart field `data` or `body`, or such a key of JSON.

    JSON and text hold it as base64, see base64_text.py.

    Raises:
        NoImageError: there is no image, or its base64 is invalid.
    """
    value = row.get("data") or row.get("body")
    if isinstance(value, Mapping):
        row, value = value, value.get("data") or value.get("body")
    if isinstance(value, bytes | bytearray) and is_text(value):
        value = value.decode(errors="replace")
    if isinstance(value, str) and value:
        try:
            value = decoded(value)
        except ValueError as exc:
            raise NoImageError(f"the text in the request is not base64 of an image: {exc}") from exc
    if not isinstance(value, bytes | bytearray) or not value:
        names = ", ".join(sorted(str(name)[:50] for name in row if row[name])[:10]) or "an empty body"
        raise NoImageError(
            "no image in the request: send it as the raw body, as multipart field 'data', "
            f'or as JSON {{"data": "<base64>"}}; got {names}'
        )
    return bytes(value)

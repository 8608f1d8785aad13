"""Decodes base64 in the forms clients send: line breaks, URL-safe alphabet, no padding, data: URLs.

Part of the model archive: imports only the standard library.
"""

import base64
import string
from urllib.parse import unquote

_ALPHABET = f"{string.ascii_letters}{string.digits}+/".encode()
_FROM_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_WHITE_SPACE = b" \t\r\n"
_TEXT = _ALPHABET + b"-_=\r\n"
_DATA_URL = "data:"
# Every image has more; a shorter text may be a word.
_FEWEST_CHARACTERS = 32


def decoded(text: str) -> bytes:
    """Decodes a text.

    Raises:
        ValueError: the text is not base64; the message says why.
    """
    if text[: len(_DATA_URL)].lower() == _DATA_URL:
        text = _of_data_url(text)
    try:
        characters = text.encode("ascii").translate(_FROM_URL_SAFE, _WHITE_SPACE).rstrip(b"=")
    except UnicodeEncodeError as exc:
        raise ValueError(f"the character {text[exc.start]!r} is not one of base64") from exc
    if foreign := characters.translate(None, _ALPHABET):
        raise ValueError(f"the character {chr(foreign[0])!r} is not one of base64")
    if len(characters) % 4 == 1:
        raise ValueError(f"{len(characters)} characters are no whole number of bytes")
    return base64.b64decode(characters + b"=" * (-len(characters) % 4))


def is_text(content: bytes | bytearray) -> bool:
    """Whether the bytes are a data: URL or consist of base64 characters only, as no image does."""
    if content[: len(_DATA_URL)].lower() == _DATA_URL.encode():
        return True
    if len(content) < _FEWEST_CHARACTERS or content[:_FEWEST_CHARACTERS].translate(None, _TEXT):
        return False
    return not content.translate(None, _TEXT)


def _of_data_url(url: str) -> str:
    header, comma, text = url.partition(",")
    if not comma or header.rpartition(";")[2].strip().lower() != "base64":
        raise ValueError("the data: URL does not begin as 'data:image/jpeg;base64,' does")
    return unquote(text) if "%" in text else text

"""Shortens text of any length that clients send."""


def shortened(text: str, limit: int) -> str:
    """The text, or its beginning and end, `limit` characters in all, with the number left out between."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]} ... {len(text) - 2 * half} characters ... {text[-half:]}"

"""Cuts text that clients make as long as they like."""


def shortened(text: str, limit: int) -> str:
    """The text, or its beginning and its end, `limit` characters in all, and how many lay between."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]} ... {len(text) - 2 * half} characters ... {text[-half:]}"

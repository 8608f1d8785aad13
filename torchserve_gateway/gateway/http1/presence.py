"""Facts about a request's client that ASGI messages would tell later, or at a higher cost."""

from collections.abc import Callable, Mapping
from typing import Any

PRESENCE = "gateway.presence"
"""Key of `scope["extensions"]`; its value is `{"presence": Presence}`."""


class Presence:
    """The client of one request, as the server sees it."""

    __slots__ = ("has_sent_all", "when_gone")

    def __init__(self) -> None:
        self.has_sent_all = False
        """Whether the whole body has arrived: to receive it takes no time."""
        self.when_gone: Callable[[], None] | None = None
        """Called once if the client closes the connection before its answer is complete."""


def presence_in(scope: Mapping[str, Any]) -> Presence | None:
    """The client's presence; None under a server that does not tell."""
    found: Presence | None = scope.get("extensions", {}).get(PRESENCE, {}).get("presence")
    return found

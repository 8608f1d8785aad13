"""Cancels requests of disconnected clients."""

import asyncio
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from torchserve_gateway.gateway.http1.presence import Presence, presence_in
from torchserve_gateway.gateway.telemetry.request_context import context_of

# nginx's status for a client that closed its connection; it appears in the log and in metrics only.
CLIENT_CLOSED_REQUEST = 499


@dataclass(frozen=True)
class CancelOnDisconnect:
    """Cancels a request whose client closes the connection after sending the body.

    A disconnect during the body surfaces where the application reads it. A job that TorchServe has accepted
    runs on, because TorchServe cannot cancel it.
    """

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one ASGI connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        working = asyncio.current_task()
        assert working is not None
        presence = presence_in(scope)
        exchange = _Exchange(receive, send, working, presence)
        try:
            await self.app(scope, exchange.receive, send if presence else exchange.send)
        except asyncio.CancelledError:
            # Something else, such as the server's shutdown, may have cancelled the request as well.
            if not exchange.client_gone or working.uncancel():
                raise
            context_of(scope).status = CLIENT_CLOSED_REQUEST
        finally:
            exchange.stop_watching()


class _Exchange:
    """Observes the ASGI messages of a request, and its client once the body has been read.

    A server that does not tell when a client leaves is asked for the next message, by a task: that costs
    more than all other middleware.

    Attributes:
        client_gone: The client closed the connection before the answer was complete.
    """

    def __init__(
        self, receive: Receive, send: Send, working: "asyncio.Task[object]", presence: Presence | None
    ) -> None:
        self._receive = receive
        self._send = send
        self._working = working
        self._presence = presence
        self._is_watched = False
        self._watching: asyncio.Task[None] | None = None
        self._answered = False
        self.client_gone = False

    async def receive(self) -> Message:
        message = await self._receive()
        if not self._is_watched and not message.get("more_body"):
            self._is_watched = True
            if self._presence:
                self._presence.when_gone = self._cancel
            else:
                self._watching = asyncio.create_task(self._watch())
        return message

    async def send(self, message: Message) -> None:
        await self._send(message)
        self._answered = message["type"] == "http.response.body" and not message.get("more_body")

    def stop_watching(self) -> None:
        """Stops, as the request has ended."""
        if self._presence:
            self._presence.when_gone = None
        if self._watching:
            self._watching.cancel()
            # The task's traceback has this object: a cycle would wait for the garbage collector.
            self._watching = None

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        # The server reports a disconnect after a complete answer, too.
        if not self._answered:
            self._cancel()

    def _cancel(self) -> None:
        self.client_gone = True
        self._working.cancel()

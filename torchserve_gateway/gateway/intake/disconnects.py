"""Cancels requests of disconnected clients."""

import asyncio
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

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
        exchange = _Exchange(receive, send)

        async def work() -> None:
            await self.app(scope, exchange.receive, exchange.send)

        working, watching = asyncio.create_task(work()), asyncio.create_task(exchange.client_gone())
        try:
            await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            watching.cancel()
            # The server reports a disconnect after a complete answer, too.
            if not working.done() and not exchange.answered:
                working.cancel()
        try:
            await working
        except asyncio.CancelledError:
            context_of(scope).status = CLIENT_CLOSED_REQUEST


class _Exchange:
    """Observes the ASGI messages of a request.

    Attributes:
        answered: The complete answer was sent.
    """

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._body_read = asyncio.Event()
        self.answered = False

    async def receive(self) -> Message:
        message = await self._receive()
        if not message.get("more_body"):
            self._body_read.set()
        return message

    async def send(self, message: Message) -> None:
        await self._send(message)
        self.answered = message["type"] == "http.response.body" and not message.get("more_body")

    async def client_gone(self) -> None:
        """Returns when the client disconnects. Reads nothing until the application has the whole body."""
        await self._body_read.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass

"""`GET /live/events`: the live view's server-sent events."""

import asyncio
import contextlib
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import StreamingResponse
from starlette.types import Message, Send

from torchserve_gateway.gateway.live.streams import LiveStreams

# nginx would collect the events.
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "X-Content-Type-Options": "nosniff"}
# A client that has not read for this long loses its stream; another may have the place.
SEND_S = 10.0


class EventStream(StreamingResponse):
    """Server-sent events for a client that reads them."""

    media_type = "text/event-stream"

    async def stream_response(self, send: Send) -> None:
        """Sends the events until they end or the client stops reading."""

        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(SEND_S):
                await send(message)

        with contextlib.suppress(TimeoutError):
            await super().stream_response(send_in_time)


def routes(streams: LiveStreams) -> APIRouter:
    """The route; not in the OpenAPI document, which has no words for a stream of events."""
    router = APIRouter()

    @router.get("/live/events", include_in_schema=False)
    async def events(_: Annotated[None, Depends(streams.slot)]) -> EventStream:
        return EventStream(streams.events(), headers=HEADERS)

    return router

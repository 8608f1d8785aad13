"""`GET /live/events`: the live view's server-sent events."""

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import StreamingResponse

from torchserve_gateway.gateway.live.streams import LiveStreams

# nginx would collect the events.
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "X-Content-Type-Options": "nosniff"}


def routes(streams: LiveStreams) -> APIRouter:
    """The route; not in the OpenAPI document, which has no words for a stream of events."""
    router = APIRouter()

    @router.get("/live/events", include_in_schema=False)
    async def events(_: Annotated[None, Depends(streams.slot)]) -> StreamingResponse:
        return StreamingResponse(streams.events(), media_type="text/event-stream", headers=HEADERS)

    return router

"""The start of every prediction route, before the body is read."""

from dataclasses import dataclass

from fastapi import Request

from torchserve_gateway.gateway.deployed.served_models import ServedModels
from torchserve_gateway.gateway.headers import raw_name
from torchserve_gateway.gateway.intake.body import read_body
from torchserve_gateway.gateway.intake.deadlines import RAW_HEADER, allowed_s
from torchserve_gateway.gateway.prediction.admission import Admission
from torchserve_gateway.gateway.telemetry.request_context import RequestContext, context_of
from torchserve_gateway.settings.gateway import GatewaySettings


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Lets requests in while their model has room."""

    settings: GatewaySettings
    models: ServedModels
    admission: Admission

    def let_in(self, request: Request, model: str) -> RequestContext:
        """The request's context, with model, deadline and routing key.

        Raises:
            DrainingError, OverloadedError: its turn would not come, so its body is not read into memory.
            MalformedRequestError: it asks for a deadline that is no positive number.
        """
        context = context_of(request.scope)
        context.model = model
        self.admission.refuse_if_full(model)
        asked_s = context.header(RAW_HEADER)
        context.deadline = context.started + allowed_s(asked_s, self.models.deadline_s(model))
        key = context.header(raw_name(self.settings.routing_key_header))
        context.routing_key = context.request_id if key is None else key
        return context

    def body_timeout_s(self, context: RequestContext) -> float:
        """Seconds that the body may take."""
        return min(self.settings.body_timeout_s, context.deadline - context.started)

    async def read_images(self, request: Request, context: RequestContext) -> bytes:
        """The body of a request with many images.

        Raises:
            GatewayError: as the subclass that fits; see `intake.body`.
        """
        limits = self.settings.max_batch_request_bytes, self.body_timeout_s(context)
        return await read_body(request, *limits)

"""Both APIs of one TorchServe over one shared client."""

from dataclasses import dataclass

import httpx

from torchserve_api.inference import InferenceClient
from torchserve_api.management import ManagementClient
from torchserve_api.settings import TorchServeSettings
from torchserve_api.tokens import Tokens
from torchserve_api.transport import Transport, new_client


@dataclass(frozen=True)
class TorchServe:
    """The two APIs, and the client they share; whoever made this closes it, for example by `async with`."""

    inference: InferenceClient
    management: ManagementClient
    client: httpx.AsyncClient

    @classmethod
    def at(
        cls, settings: TorchServeSettings, transport: httpx.AsyncBaseTransport | None = None
    ) -> "TorchServe":
        """Connects to nothing yet. transport: what reaches TorchServe; tests pass their own."""
        client = new_client(settings, transport)
        tokens = Tokens(settings.key_file, settings.management_url, client)
        inference = Transport(client, "inference", settings.inference_url, tokens)
        management = Transport(client, "management", settings.management_url, tokens)
        return cls(InferenceClient(inference), ManagementClient(management, settings), client)

"""What `config/torchserve/<name>.yaml` says."""

from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, PositiveFloat, PositiveInt, StringConstraints, field_validator

from configuration import ProjectPath, Settings

Url = Annotated[str, StringConstraints(pattern=r"^https?://[^/?#]+$")]
Port = Annotated[int, Field(ge=1, le=65535)]


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address: a loopback IP or `localhost`."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class TorchServeSettings(Settings):
    """Addresses, timeouts and properties of one TorchServe.

    model_store is None where TorchServe does not share a disk with us; then it downloads every archive.
    """

    inference_url: Url
    management_url: Url
    metrics_url: Url
    grpc_inference_port: Port
    grpc_management_port: Port
    token_authorization: bool | None
    key_file: ProjectPath
    model_store: ProjectPath | None
    management_timeout_s: PositiveFloat
    register_timeout_s: PositiveFloat
    connect_timeout_s: PositiveFloat
    environment: dict[str, str]
    allowed_urls: list[str]
    properties: dict[str, bool | PositiveInt | str]

    @field_validator("inference_url", "management_url", "metrics_url")
    @classmethod
    def _names_a_port(cls, url: str) -> str:
        # TorchServe's own defaults for a missing port are not HTTP's.
        if urlsplit(url).port is None:
            raise ValueError("the port is missing; write it out, for example http://127.0.0.1:8080")
        return url

    @property
    def requires_tokens(self) -> bool:
        """Whether TorchServe is to ask for tokens: as configured, else unless all addresses are loopback."""
        if self.token_authorization is not None:
            return self.token_authorization
        urls = (self.inference_url, self.management_url, self.metrics_url)
        return not all(is_loopback(urlsplit(url).hostname or "") for url in urls)

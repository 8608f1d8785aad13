"""What `config/torchserve/<name>.yaml` says."""

import re
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, PositiveFloat, PositiveInt, StringConstraints, field_validator, model_validator

from torchserve_gateway.settings.composition import ProjectPath, Settings

Url = Annotated[str, StringConstraints(pattern=r"^https?://[^/?#]+$")]
# TorchServe's own.
DEFAULT_MAX_REQUEST_SIZE = 6553500
Port = Annotated[int, Field(ge=1, le=65535)]
DEFAULT_MAX_RESPONSE_SIZE = 6_553_500


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address: a loopback IP or `localhost`."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class TorchServeSettings(Settings):
    """Addresses, timeouts and properties of one TorchServe, or of several that are alike.

    inference_url: where predictions go, a balancer's address if there are several; management_urls: where
    each is deployed to, a host name with several addresses is several replicas; replica_inference_port: of
    each replica's own Inference API, None for the port of inference_url; model_store: None where TorchServe
    does not share a disk with us, then it downloads every archive; deployments_dir: what is deployed, for all
    to see.
    """

    inference_url: Url
    management_url: Url
    management_urls: Annotated[list[Url], Field(min_length=1)]
    replica_inference_port: Port | None
    metrics_url: Url
    grpc_inference_port: Port
    grpc_management_port: Port
    token_authorization: bool | None
    key_file: ProjectPath
    model_store: ProjectPath | None
    deployments_dir: ProjectPath
    management_timeout_s: PositiveFloat
    register_timeout_s: PositiveFloat
    connect_timeout_s: PositiveFloat
    max_answer_bytes: PositiveInt
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

    @field_validator("management_urls")
    @classmethod
    def _each_names_a_port(cls, urls: list[str]) -> list[str]:
        return [cls._names_a_port(url) for url in urls]

    @field_validator("allowed_urls")
    @classmethod
    def _are_patterns(cls, patterns: list[str]) -> list[str]:
        for pattern in patterns:
            if "," in pattern:
                raise ValueError(f"TorchServe takes {pattern} apart at its comma; write two patterns")
            try:
                re.compile(pattern)
            except re.error as exc:
                raise ValueError(f"{pattern} is no regular expression: {exc}") from exc
        return patterns

    @model_validator(mode="after")
    def _replicas_have_no_tokens(self) -> "TorchServeSettings":
        if len(self.management_urls) > 1 and self.requires_tokens:
            raise ValueError(
                "several management_urls need torchserve.token_authorization=false: each TorchServe makes "
                "its own tokens, so none of them is valid behind a balancer"
            )
        return self

    @field_validator("properties")
    @classmethod
    def _limits_bodies_with_a_number(cls, properties: dict[str, object]) -> dict[str, object]:
        size = properties.get("max_request_size", DEFAULT_MAX_REQUEST_SIZE)
        if not re.fullmatch(r"[1-9][0-9]*", str(size)):
            raise ValueError(f"max_request_size is {size!r}, write a number of bytes such as 6553500")
        return properties

    @property
    def max_request_size(self) -> int:
        """Bytes of the largest body that TorchServe takes."""
        return int(self.properties.get("max_request_size", DEFAULT_MAX_REQUEST_SIZE))

    @property
    def inference_port_of_replicas(self) -> int:
        """The port of each replica's own Inference API."""
        return self.replica_inference_port or urlsplit(self.inference_url).port or 0

    @property
    def max_response_size(self) -> int:
        """Bytes of one answer of a handler; TorchServe's default unless `properties` has another."""
        return int(self.properties.get("max_response_size", DEFAULT_MAX_RESPONSE_SIZE))

    @property
    def requires_tokens(self) -> bool:
        """Whether TorchServe is to ask for tokens: as configured, else unless all addresses are loopback."""
        if self.token_authorization is not None:
            return self.token_authorization
        urls = (self.inference_url, self.management_url, self.metrics_url)
        return not all(is_loopback(urlsplit(url).hostname or "") for url in urls)

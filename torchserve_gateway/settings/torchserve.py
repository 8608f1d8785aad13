"""The settings of TorchServe, `config/torchserve/<name>.yaml`."""

import re
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import (
    Field,
    PositiveFloat,
    PositiveInt,
    StrictBool,
    StrictFloat,
    StrictInt,
    StringConstraints,
    field_validator,
    model_validator,
)

from torchserve_gateway.settings.composition import ResourcePath, Settings, WorkingPath

Url = Annotated[str, StringConstraints(pattern=r"^https?://[^/?#]+$")]
Port = Annotated[int, Field(ge=1, le=65535)]
# TorchServe's own defaults, bytes.
DEFAULT_MAX_REQUEST_SIZE = 6_553_500
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
    """Addresses, timeouts and properties of one TorchServe, or of several alike."""

    inference_url: Url
    """Address of the Inference API; of the balancer, if there are several replicas."""
    management_url: Url
    """Address of the Management API."""
    management_urls: Annotated[list[Url], Field(min_length=1)]
    """Deploy targets; a host name with several addresses stands for several replicas."""
    replica_inference_port: Port | None
    """Port of each replica's own Inference API; None: the port of inference_url."""
    metrics_url: Url
    """Address of TorchServe's metrics page."""
    grpc_inference_port: Port
    """gRPC port of the Inference API."""
    grpc_management_port: Port
    """gRPC port of the Management API."""
    token_authorization: bool | None
    """Whether TorchServe asks for tokens; None: unless all its addresses are loopback."""
    key_file: WorkingPath
    """File in which TorchServe writes its tokens."""
    model_store: WorkingPath | None
    """Folder of registered archives; None: no shared disk, so TorchServe downloads every archive."""
    deployments_dir: WorkingPath
    """Folder of the deployment record and of the gateways' reports."""
    log_dir: WorkingPath | None
    """Folder of TorchServe's logs; None: on another machine."""
    log_config: ResourcePath | None
    """Log4j 2's configuration for a TorchServe that is started here; None: TorchServe's own."""
    management_timeout_s: PositiveFloat
    """Seconds a call of the Management API may take."""
    register_timeout_s: PositiveFloat
    """Seconds a registration may take; it may download the archive."""
    connect_timeout_s: PositiveFloat
    """Seconds until a connection must stand."""
    max_answer_bytes: PositiveInt
    """Bytes of an answer above which it is not TorchServe's."""
    environment: dict[str, str]
    """Environment variables of the workers."""
    allowed_urls: list[str]
    """Regular expressions of URLs that archives are taken from, besides the file browser's."""
    properties: dict[str, StrictBool | StrictInt | StrictFloat | str]
    """Lines of config.properties in TorchServe's names and units."""

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

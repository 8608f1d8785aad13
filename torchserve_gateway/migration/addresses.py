"""Decides on TorchServe's three addresses: on loopback, where only the gateway and deploys call them."""

import re
from dataclasses import replace
from urllib.parse import urlsplit

from torchserve_gateway.migration.decision import Decision, kept
from torchserve_gateway.migration.known_keys import ADDRESSES
from torchserve_gateway.settings.torchserve import is_loopback

ADDRESS = re.compile(r"(https?)://([^:^/]+)(?::([0-9]+))?", re.IGNORECASE)
# Ports of addresses without a port (org.pytorch.serve.util.Connector), by TLS.
DEFAULT_PORTS = {
    "inference_address": {False: 80, True: 443},
    "management_address": {False: 8081, True: 8444},
    "metrics_address": {False: 8082, True: 8445},
}
DEFAULT_INFERENCE = "http://127.0.0.1:8080"


def address(key: str, text: str) -> Decision:
    """The decision on one address."""
    setting = ADDRESSES[key]
    match = ADDRESS.fullmatch(text)
    if match is None and not text.lower().startswith("unix:"):
        reason = "no address that TorchServe takes, such as http://127.0.0.1:8080"
        return Decision(key, text, "refused", reason=reason)
    tls = match is not None and match[1].lower() == "https"
    host = match[2] if match and is_loopback(match[2]) else "127.0.0.1"
    port = match[3] if match and match[3] else DEFAULT_PORTS[key][tls]
    url = f"http://{host}:{port}"
    entry = (setting,), url
    if url == text:
        return kept(key, text, *entry)
    named = f"torchserve.{setting}={url}"
    return Decision(key, text, "overridden", named, _why_loopback(match, tls), entry)


def _why_loopback(match: re.Match[str] | None, tls: bool) -> str:
    if match is None:
        return "the gateway calls TorchServe over TCP"
    if not is_loopback(match[2]):
        return "only the gateway calls TorchServe, and clients call gateway.host and gateway.port"
    if tls:
        return "TLS is the gateway's: gateway.tls.certificate and gateway.tls.key"
    return f"the port is written out: {urlsplit(match[0]).scheme}'s default in TorchServe"


def with_management_apart(decided: list[Decision]) -> list[Decision]:
    """Gives the Management API its own port; on the Inference API's, calls about one version answer 404."""
    urls = {each.key: str(each.entry[1]) for each in decided if each.entry and each.key in ADDRESSES}
    management, inference = urls.get("management_address"), urls.get("inference_address", DEFAULT_INFERENCE)
    if management is None or urlsplit(management).port != urlsplit(inference).port:
        return decided
    apart = f"http://127.0.0.1:{_free_default(inference)}"
    reason = "a port of its own: calls about one version answer 404 on the Inference API's"
    return [
        replace(
            each,
            verdict="overridden",
            setting=f"torchserve.management_url={apart}",
            reason=reason,
            entry=(("management_url",), apart),
        )
        if each.key == "management_address"
        else each
        for each in decided
    ]


def _free_default(inference: str) -> int:
    """TorchServe's default port of the Management API, or 8091 if inference has it."""
    default = DEFAULT_PORTS["management_address"][False]
    return default + (urlsplit(inference).port == default) * 10

"""The command line, `gateway-client FILE`: sends an image as base64 in JSON and prints the fields."""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gateway_client.api import Options
from gateway_client.client import GatewayClient
from gateway_client.errors import GatewayClientError
from gateway_client.images import Limits
from gateway_client.shrinking import SMALLEST_BUDGET

DONE, FAILED, BAD_USAGE = 0, 1, 2
# Bytes of a request besides the base64: keys and braces.
ENVELOPE_BYTES = 100


class CommandError(Exception):
    """No model was named, and which one is meant is not clear."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns the exit code: 0 answered, 1 failed, 2 wrong usage.

    argv: the arguments; None: those of the process.
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    image_bytes = (arguments.max_bytes - ENVELOPE_BYTES) * 3 // 4
    if image_bytes < SMALLEST_BUDGET:
        parser.error(f"--max-bytes {arguments.max_bytes} is too small for an image; send 3000 or more")
    options = Options(
        api_key=os.environ.get("GATEWAY_API_KEY"),
        deadline_s=arguments.timeout,
        limits=Limits(max_bytes=image_bytes),
    )
    try:
        with GatewayClient(arguments.url, options) as client:
            model = arguments.model or _only_model(client)
            answer = client.answer(arguments.file, model, arguments.host, kserve=arguments.kserve)
    except (CommandError, GatewayClientError) as exc:
        print(f"failed: {exc}", file=sys.stderr)
        return FAILED
    print(json.dumps(answer, indent=2) if arguments.json else "\n".join(lines(answer)))
    return DONE


def lines(answer: Any) -> Iterator[str]:
    """Yields an answer for people: a line a field, and a line for each element of a list."""
    if answer is None or answer in ([], ""):
        yield "nothing found"
    elif isinstance(answer, dict):
        width = max(map(len, answer), default=0)
        yield from (f"{name:<{width}}  {_shown(value)}" for name, value in answer.items())
    elif isinstance(answer, list):
        yield from map(_row, answer)
    else:
        yield _shown(answer)


def _row(element: Any) -> str:
    if not isinstance(element, dict):
        return _shown(element)
    return "  ".join(f"{name}: {_shown(value)}" for name, value in element.items())


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value)


def _only_model(client: GatewayClient) -> str:
    names = sorted({each.model for each in client.models()})
    if len(names) == 1:
        return names[0]
    raise CommandError(f"deployed are {', '.join(names) or 'no models'}; choose with --model NAME")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gateway-client",
        description="Sends an image to a model and prints the answer. An image over the budget is shrunk. "
        "The environment variable GATEWAY_API_KEY holds the key of a gateway that asks for one.",
        epilog="Exit codes: 0 answered; 1 failed, one line says why; 2 wrong usage.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="image of any format that the model reads")
    parser.add_argument("--url", default="http://127.0.0.1:5003", help="gateway; default: %(default)s")
    parser.add_argument("--model", metavar="NAME", help="without it: the only one that is deployed")
    parser.add_argument("--kserve", action="store_true", help="send to /v1/models/NAME:predict")
    parser.add_argument("--host", help="Host header, by which an ingress chooses the service")
    parser.add_argument(
        "--max-bytes", type=int, default=5_000_000, help="budget of a request; default: %(default)s"
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="with retries; default: %(default)s",
    )
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")
    return parser

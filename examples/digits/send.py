"""Sends random held-out digits to the gateway and prints predicted and actual digits, and the accuracy."""

import random
import sys

import httpx
from rich.console import Console
from rich.table import Table

from examples.digits.dataset import digits, png
from examples.digits.settings import DigitsSettings
from torchserve_gateway.commands.own_client import authorization, trusting
from torchserve_gateway.settings.command import run


class SendError(Exception):
    """A digit got no answer."""


def send(settings: DigitsSettings) -> None:
    """Prints a row per digit, then the share that was right.

    Raises:
        SendError: a digit got no answer.
    """
    _, held_out = digits()
    count = min(settings.count, len(held_out.targets))
    chosen = random.Random(settings.choice_seed).sample(range(len(held_out.targets)), count)  # noqa: S311
    table, right = Table("Predicted", "Actual", box=None), 0
    with httpx.Client(
        base_url=settings.gateway.url,
        timeout=settings.request_timeout_s,
        headers=authorization(settings.gateway.auth),
        verify=trusting(settings.gateway.tls),
        trust_env=False,
    ) as http:
        for index in chosen:
            predicted = _predicted(http, settings.served.name, png(held_out.pictures[index]))
            actual = str(held_out.targets[index])
            right += predicted == actual
            table.add_row(predicted, actual, style="" if predicted == actual else "red")
    Console().print(table)
    print(f"\nAccuracy: {right} of {count}, {right / count:.1%}")


def _predicted(http: httpx.Client, model: str, picture: bytes) -> str:
    try:
        response = http.post(f"/predictions/{model}", content=picture, headers={"Content-Type": "image/png"})
        return response.raise_for_status().text
    except httpx.HTTPStatusError as exc:
        raise SendError(f"{exc.response.status_code} {exc.response.text}") from exc
    except httpx.HTTPError as exc:
        raise SendError(f"{http.base_url}: {exc or type(exc).__name__}; is it running? make up") from exc


if __name__ == "__main__":
    sys.exit(run("digits", DigitsSettings, send, (SendError,)))

"""Predicts every image of imgs/ through the gateway, the last step of `make demo`."""

from collections.abc import Sequence
from pathlib import Path

import httpx

from torchserve_gateway.commands.own_client import authorization, trusting
from torchserve_gateway.load_test.images import NoImagesError, image_files
from torchserve_gateway.settings.command import run
from torchserve_gateway.settings.load_test import StressSettings
from torchserve_gateway.terminal.output import print_table
from torchserve_gateway.terminal.waits import waiting

# Long file names are not cut where the output is no terminal.
TABLE_WIDTH = 100
COLUMNS = ("image", "genre", "probability", "second", "probability")


class DemoError(Exception):
    """An image got no answer."""


def demo(settings: StressSettings) -> None:
    """Prints a row per image, then the URLs to open.

    Raises:
        DemoError: an image got no answer; the message holds the gateway's.
    """
    files = image_files(settings.images_dir)
    rows = []
    with httpx.Client(
        base_url=settings.gateway.url,
        timeout=settings.request_timeout_s,
        headers=authorization(settings.gateway.auth),
        verify=trusting(settings.gateway.tls),
        trust_env=False,
    ) as http:
        for file in files:
            with waiting(f"the answer to {file.name}", limit_s=settings.request_timeout_s):
                rows.append((file.name, *_top_two(http, settings.served.name, file)))
    print_table(COLUMNS, rows, width=TABLE_WIDTH)
    page = "Web page:  " if settings.gateway.page.enabled else "Swagger UI:"
    print(f"\n{page} {settings.gateway.url}/")
    print(
        f"Predict:    curl -T {settings.images_dir.name}/{files[0].name} "
        f"{settings.gateway.url}/predictions/{settings.served.name}"
    )
    print("Stop:       torchserve-gateway down, or make down")


def _top_two(http: httpx.Client, model: str, image: Path) -> list[str]:
    try:
        response = http.post(f"/predictions/{model}", content=image.read_bytes()).raise_for_status()
    except httpx.HTTPStatusError as exc:
        raise DemoError(f"{image.name}: {exc.response.text}") from exc
    except httpx.HTTPError as exc:
        hint = "make status shows whether the gateway runs, make up starts it"
        raise DemoError(f"{image.name}: {exc or type(exc).__name__}; {hint}") from exc
    answer = list(response.json().items())[:2]
    return [cell for label, probability in answer for cell in (label, f"{probability:.3f}")]


def main(argv: Sequence[str]) -> int:
    """Runs the command with Hydra overrides and returns the exit code."""
    return run("stress", StressSettings, demo, (DemoError, NoImagesError), argv)

"""Predicts pictures with every served model through the gateway, the last step of `make demo`."""

import os
from collections.abc import Sequence
from pathlib import Path

import httpx
from rich.table import Column

from torchserve_gateway.commands.own_client import authorization, trusting
from torchserve_gateway.deployment.answers.shown import shortened
from torchserve_gateway.load_test.images import NoImagesError, image_files
from torchserve_gateway.settings.command import run
from torchserve_gateway.settings.composition import existing_or_own
from torchserve_gateway.settings.demo import DemoSettings
from torchserve_gateway.settings.model import ModelSettings
from torchserve_gateway.settings.model_parts.samples import OCTET_STREAM
from torchserve_gateway.terminal.output import print_table
from torchserve_gateway.terminal.waits import waiting

# Long file names are not cut where the output is no terminal.
TABLE_WIDTH = 100
# Tables of several models have their columns below each other.
NAME_WIDTH, CLASS_WIDTH = 20, 15
NOT_FOUND = 404

# A file to send, with its Content-Type.
Input = tuple[Path, str]


class DemoError(Exception):
    """A picture got no answer."""


class NotDeployedError(DemoError):
    """The gateway does not know the model."""


def demo(settings: DemoSettings) -> None:
    """Prints a table per served model, then the URLs to open.

    Raises:
        DemoError: a picture got no answer; the message holds the gateway's. Models after the first need not
            be deployed.
        NoImagesError: there is no picture to send.
    """
    chosen, *others = settings.models.values()
    with _client(settings) as http:
        sent = {chosen.name: _predict(http, chosen, settings.images_dir)}
        for model in others:
            print()
            try:
                sent[model.name] = _predict(http, model, None)
            except NotDeployedError:
                print(f"{model.name} is not deployed; make demo tries again")
    _print_urls(settings, sent)


def _client(settings: DemoSettings) -> httpx.Client:
    return httpx.Client(
        base_url=settings.gateway.url,
        timeout=settings.request_timeout_s,
        headers=authorization(settings.gateway.auth),
        verify=trusting(settings.gateway.tls),
        trust_env=False,
    )


def _predict(http: httpx.Client, model: ModelSettings, images_dir: Path | None) -> Path:
    """Prints a row per input; returns the first file."""
    inputs = _inputs(model, images_dir)
    answers = []
    for each in inputs:
        with waiting(f"the answer to {each[0].name}", limit_s=http.timeout.read):
            answers.append(_answer(http, model.name, each))
    rows = [_top_two(each) for each in answers]
    columns = [Column("image" if model.image else "input", min_width=NAME_WIDTH)]
    columns.append(Column(model.name, min_width=CLASS_WIDTH))
    if any(rows):
        columns += [Column("probability"), Column("second", min_width=CLASS_WIDTH), Column("probability")]
    cells = (
        (file.name, *(row or [shortened(" ".join(answer.text.split()))]))
        for (file, _), row, answer in zip(inputs, rows, answers, strict=True)
    )
    print_table(columns, cells, width=TABLE_WIDTH)
    return inputs[0][0]


def _inputs(model: ModelSettings, images_dir: Path | None) -> list[Input]:
    """The folder's images; without a folder those beside the model's samples, or the samples."""
    pictures = [each.image for each in model.samples if each.image]
    if model.samples and not pictures and images_dir is None:
        return [(each.file, each.media_type) for each in model.samples]
    folder = images_dir or (pictures[0].parent if pictures else existing_or_own(Path("imgs")))
    return [(file, OCTET_STREAM) for file in image_files(folder)]


def _answer(http: httpx.Client, model: str, each: Input) -> httpx.Response:
    file, content_type = each
    try:
        response = http.post(
            f"/predictions/{model}", content=file.read_bytes(), headers={"Content-Type": content_type}
        )
    except httpx.HTTPError as exc:
        hint = "make status shows whether the gateway runs, make up starts it"
        raise DemoError(f"{file.name}: {exc or type(exc).__name__}; {hint}") from exc
    if response.is_error:
        failure = NotDeployedError if response.status_code == NOT_FOUND else DemoError
        raise failure(f"{file.name}: {response.text}")
    return response


def _top_two(answer: httpx.Response) -> list[str]:
    """The likeliest classes of `{class: probability}`; empty for another answer."""
    try:
        classes = sorted(answer.json().items(), key=lambda each: each[1], reverse=True)
        return [cell for label, probability in classes[:2] for cell in (label, f"{probability:.3f}")]
    except (ValueError, AttributeError, TypeError):
        return []


def _print_urls(settings: DemoSettings, sent: dict[str, Path]) -> None:
    url = settings.gateway.url
    page = "Web page:  " if settings.gateway.page.enabled else "Swagger UI:"
    print(f"\n{page} {url}/")
    lines = [f"curl -T {os.path.relpath(file)} {url}/predictions/{model}" for model, file in sent.items()]
    print("Predict:    " + "\n            ".join(lines))
    print("Stop:       torchserve-gateway down, or make down")


def main(argv: Sequence[str]) -> int:
    """Runs the command with Hydra overrides and returns the exit code."""
    return run("demo", DemoSettings, demo, (DemoError, NoImagesError), argv)

"""A second gateway before the real TorchServe, one that wants TLS and keys: as a user runs it."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from tests.certificates import self_signed
from tests.free_ports import free_ports
from tests.processes import Process, until
from tests.running_stack import RunningStack, run
from torchserve_gateway.commands.own_client import authorization, trusting


@pytest.fixture
def guarded(stack: RunningStack, tmp_path: Path) -> RunningStack:
    """The same TorchServe, another gateway; what sets it apart."""
    own = self_signed(tmp_path / "own.pem", "api.example.com")
    [port] = free_ports(1)
    return replace(
        stack,
        overrides=(
            *(each for each in stack.overrides if not each.startswith("gateway.port=")),
            *(f"gateway.port={port}", f"gateway.tls.certificate={own}", f"gateway.tls.key={own}"),
            *("gateway.auth.enabled=true", f"gateway.auth.keys_file={tmp_path}/api_keys.json"),
            *("gateway.auth.refresh_s=0.1", f"gateway.auth.own_key_file={tmp_path}/own.key"),
        ),
    )


def make_key(guarded: RunningStack, *arguments: str) -> str:
    """`make api_key`."""
    made = run(
        "-m",
        "torchserve_gateway",
        "key",
        *arguments,
        f"gateway.auth.keys_file={guarded.settings.gateway.auth.keys_file}",
    )
    assert made.returncode == 0, made.stderr
    return made.stdout


@pytest.fixture
def client(guarded: RunningStack, tmp_path: Path) -> Iterator[httpx.Client]:
    """With the key that the commands use, too."""
    settings = guarded.settings.gateway
    (tmp_path / "own.key").write_text(make_key(guarded, "own"))
    process = Process(tmp_path / "gateway.log", [sys.executable, "app.py", *guarded.overrides])
    headers, tls = authorization(settings.auth), trusting(settings.tls)
    with httpx.Client(base_url=settings.url, headers=headers, verify=tls, timeout=60) as client:
        try:
            until(lambda: answers(client))
            yield client
        finally:
            process.terminate()
            process.until_gone()


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/health/ready").status_code == 200
    except httpx.TransportError:
        return False


def test_with_keys_and_tls_predictions_and_the_projects_own_commands_work(
    guarded: RunningStack, client: httpx.Client, images: list[Path]
) -> None:
    poster = next(image for image in images if image.stem == "horror").read_bytes()

    def status(key: str | None = None, path: str = "/predictions/genre") -> int:
        headers = {} if key is None else {"X-API-Key": key.strip()}
        return client.put(path, content=poster, headers={"Authorization": "", **headers}).status_code

    answer = client.put("/predictions/genre", content=poster)
    assert max(answer.json(), key=answer.json().__getitem__) == "Horror"
    assert status() == 401
    assert client.get("/models").status_code == 403

    first = make_key(guarded, "app", "--rights=predict,models")
    until(lambda: status(first) == 200)
    second = make_key(guarded, "app")
    until(lambda: status(second) == 200)
    assert status(first) == 200
    assert make_key(guarded, "app", "--revoke=old") == ""
    until(lambda: status(first) == 401)
    assert status(second) == 200

    for command in (
        ("-m", "torchserve_gateway", "demo"),
        ("stress.py", "clients=2", "rounds=1", "round_s=1"),
    ):
        result = run(*command, *guarded.overrides)
        assert result.returncode == 0, result.stderr

"""SIGTERM to a real gateway: it says so, finishes what it has, and ends with 0."""

import re
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from gateway_client import GatewayClient, Options, Prediction

from tests import encoded_images
from tests.free_ports import free_ports
from tests.held_torchserve import HeldTorchServe, predict
from tests.held_torchserve import held_gateway as gateway
from tests.http_client import HTTP
from tests.processes import GIVE_UP_S, until

# A prediction that was answered 503, in the gateway's metrics.
REFUSED = re.compile(r'^gateway_requests_total\{.*route="/predictions.*status="503"', re.MULTILINE)


@pytest.fixture
def torchserve() -> HeldTorchServe:
    return HeldTorchServe()


def test_what_was_admitted_is_finished_what_is_new_is_told_and_the_exit_code_is_0(
    torchserve: HeldTorchServe, tmp_path: Path
) -> None:
    with (
        gateway(torchserve, tmp_path, "gateway.shutdown_delay_s=3") as (process, url),
        ThreadPoolExecutor() as pool,
        httpx.Client(base_url=url, timeout=GIVE_UP_S) as open_connection,
    ):
        assert open_connection.get("/health/live").status_code == 200
        admitted = [pool.submit(predict, url) for _ in range(4)]
        until(lambda: torchserve.received == 2)
        until(lambda: b"gateway_admission_waiting" in HTTP.get(f"{url}/metrics").content)
        process.terminate()
        until(lambda: open_connection.get("/health/ready").status_code == 503)
        assert "is stopping" in open_connection.get("/health/ready").json()["detail"]
        refused = open_connection.post("/predictions/m", content=b"new")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        torchserve.go.set()
        assert [each.result().status_code for each in admitted] == [200] * 4
        process.until_gone()
        assert process.returncode == 0
    assert torchserve.received == 4


@pytest.mark.parametrize("again", [False, True], ids=["after the grace period", "at the second signal"])
def test_what_takes_too_long_is_cut(torchserve: HeldTorchServe, tmp_path: Path, *, again: bool) -> None:
    grace = "gateway.shutdown_grace_s=1"
    delay = f"gateway.shutdown_delay_s={3600 if again else 0.1}"
    with (
        gateway(torchserve, tmp_path, grace, delay) as (process, url),
        ThreadPoolExecutor() as pool,
    ):
        cut = pool.submit(predict, url)
        until(lambda: torchserve.received == 1)
        process.terminate()
        if again:
            until(lambda: HTTP.get(f"{url}/health/ready").status_code == 503)
            process.signal(signal.SIGTERM)
        # The client is not left hanging: its connection is closed, or it is told.
        outcome = cut.exception(timeout=GIVE_UP_S)
        assert isinstance(outcome, httpx.TransportError) or cut.result().status_code >= 500
        process.until_gone()
        assert process.returncode == 0


def test_the_python_client_asks_a_stopping_gateway_again_until_the_next_one_answers(
    torchserve: HeldTorchServe, tmp_path: Path
) -> None:
    [port] = free_ports(1)
    torchserve.go.set()
    with ThreadPoolExecutor() as pool:
        with gateway(torchserve, tmp_path, "gateway.shutdown_delay_s=3600", port=port) as (process, url):
            process.terminate()
            until(lambda: HTTP.get(f"{url}/health/ready").status_code == 503)
            asked = pool.submit(ask_for_a_prediction, url)
            until(lambda: REFUSED.search(HTTP.get(f"{url}/metrics").text) is not None)
            process.signal(signal.SIGTERM)
            process.until_gone()
        assert torchserve.received == 0
        with gateway(torchserve, tmp_path, port=port):
            assert asked.result(timeout=GIVE_UP_S).top == "Horror"
    assert torchserve.received == 1


def ask_for_a_prediction(url: str) -> Prediction:
    with GatewayClient(url, Options(deadline_s=GIVE_UP_S)) as client:
        return client.predict(encoded_images.SMALL["PNG"], "m")

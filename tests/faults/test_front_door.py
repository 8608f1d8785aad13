"""TLS, names of hosts, web pages of other origins: closed unless configured."""

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn

from tests.certificates import self_signed
from tests.commands import command
from tests.composed_settings import gateway_settings
from tests.encoded_images import SMALL
from tests.fake_torchserve import FakeTorchServe
from tests.faults.test_gateway_connections import GIVE_UP_S
from tests.free_ports import free_ports
from tests.keys import bearer, with_keys, write_keys
from tests.running_stack import run
from tests.served_gateway import gateway, served_gateway
from torchserve_gateway.commands.own_client import trusting
from torchserve_gateway.commands.stress import stress
from torchserve_gateway.settings.composition import ConfigurationError, load
from torchserve_gateway.settings.load_test import StressSettings
from torchserve_gateway.settings.project import ProjectSettings

IMAGE = SMALL["PNG"]
PAGE = "https://app.example.com"
ORIGIN = {"Origin": PAGE}


def with_tls(file: Path) -> tuple[str, str]:
    return f"gateway.tls.certificate={file}", f"gateway.tls.key={file}"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("tls") / "own.pem", "api.example.com")


@pytest.fixture(scope="module")
def tls_server(certificate: Path) -> Iterator[uvicorn.Server]:
    with served_gateway(FakeTorchServe(), *with_tls(certificate)) as server:
        yield server


def test_over_tls_it_answers_for_the_name_of_its_certificate(
    tls_server: uvicorn.Server, certificate: Path
) -> None:
    trust = ssl.create_default_context(cafile=certificate)
    with (
        socket.create_connection((tls_server.config.host, tls_server.config.port), GIVE_UP_S) as plain,
        trust.wrap_socket(plain, server_hostname="api.example.com") as client,
    ):
        assert client.version() in ("TLSv1.2", "TLSv1.3")
        client.sendall(b"GET /health/live HTTP/1.1\r\nHost: api.example.com\r\n\r\n")
        assert client.recv(65_536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.slow
def test_over_tls_an_idle_client_does_not_delay_the_stop(certificate: Path) -> None:
    trust = ssl.create_default_context(cafile=certificate)
    overrides = (*with_tls(certificate), "gateway.shutdown_grace_s=10")
    with socket.socket() as plain:
        with served_gateway(FakeTorchServe(), *overrides) as server:
            plain.connect((server.config.host, server.config.port))
            client = trust.wrap_socket(plain, server_hostname="api.example.com")
            client.sendall(b"GET /health/live HTTP/1.1\r\nHost: api.example.com\r\n\r\n")
            assert client.recv(65_536).startswith(b"HTTP/1.1 200 ")
        # uvicorn gives up on what is left after the grace.
        assert not server.server_state.connections
        client.close()


def test_over_tls_plain_http_gets_no_answer(tls_server: uvicorn.Server) -> None:
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"http://{tls_server.config.host}:{tls_server.config.port}/health/live")


def test_our_own_commands_trust_that_certificate_and_no_other(
    tls_server: uvicorn.Server, certificate: Path, tmp_path: Path
) -> None:
    settings = gateway_settings(f"gateway.port={tls_server.config.port}", *with_tls(certificate))
    url = f"{settings.gateway.url}/health/live"
    assert url.startswith("https://127.0.0.1:")
    assert httpx.get(url, verify=trusting(settings.gateway.tls)).status_code == 200
    # Of the same name, by somebody else.
    another = gateway_settings(*with_tls(self_signed(tmp_path / "x.pem", "api.example.com")))
    for verify in (trusting(another.gateway.tls), True):
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(url, verify=verify)


@pytest.mark.slow
@pytest.mark.parametrize(
    "content",
    [
        None,
        *(pytest.param(text, marks=pytest.mark.long) for text in ("", "no certificate")),
        "-----BEGIN CERTIFICATE-----\nx",
    ],
)
def test_a_certificate_that_cannot_be_read_is_one_line_at_the_start(
    tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "own.pem"
    if content is not None:
        file.write_text(content)
    result = run("app.py", f"gateway.port={free_ports(1)[0]}", *with_tls(file))
    assert result.returncode == 2
    [line] = result.stderr.splitlines()
    assert line.startswith("configuration error: gateway.tls: ")
    assert str(file) in line
    with pytest.raises(ConfigurationError, match=r"gateway\.tls\.certificate"):
        trusting(load("gateway", ProjectSettings, with_tls(file)).gateway.tls)


@pytest.mark.slow
def test_stress_and_demo_reach_a_gateway_that_wants_tls_and_keys(certificate: Path, tmp_path: Path) -> None:
    keys_file, own_key = tmp_path / "api_keys.json", tmp_path / "own.key"
    own_key.write_text(write_keys(keys_file, stress=("predict",))["stress"] + "\n")
    shared = *with_tls(certificate), *with_keys(keys_file)
    torchserve = FakeTorchServe(httpx.Response(200, json={"Horror": 0.9, "Crime": 0.1}))
    with served_gateway(torchserve, *shared) as server:
        here = *shared, f"gateway.port={server.config.port}"
        with_key = *here, f"gateway.auth.own_key_file={own_key}"
        short = "clients=2", "rounds=1", "round_s=0.2"
        assert stress(load("stress", StressSettings, [*with_key, *short])) == 0
        demo = command("demo", *with_key)
        assert demo.exit_code == 0, demo.stderr
        refused = command("demo", *here)
    assert refused.exit_code == 1
    assert "needs a valid API key" in refused.stderr


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("api.example.com", 200),
        ("API.Example.com:5003", 200),
        ("a.internal", 200),
        ("[::1]:5003", 200),
        ("internal", 400),
        ("evil.example.com", 400),
        ("api.example.com.evil.com", 400),
        ("evil.com:x@api.example.com", 400),
        ("api.example.com/evil.com", 400),
        ("::1", 400),
        ("evilinternal", 400),
        ("127.0.0.1", 400),
        ("[", 400),
        ("", 400),
    ],
)
async def test_only_requests_for_configured_hosts_are_answered(host: str, status: int) -> None:
    hosts = "gateway.allowed_hosts=[api.example.com,'*.internal','[::1]']"
    async with gateway(FakeTorchServe(), hosts) as client:
        answers = [await client.get(path, headers={"Host": host}) for path in ("/health/live", "/docs", "/x")]
    assert [answer.status_code for answer in answers] == [status, status, 404 if status == 200 else 400]
    if status == 400:
        assert all(answer.headers["content-type"] == "application/problem+json" for answer in answers)
        assert {answer.json()["type"] for answer in answers} == {"urn:problem:unknown-host"}
        assert all(answer.headers["x-request-id"] for answer in answers)


def preflight(**headers: str) -> dict[str, str]:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-api-key"}
    return {**asked, **ORIGIN, **{name.replace("_", "-"): value for name, value in headers.items()}}


async def test_by_default_no_web_page_of_another_origin_may_read_anything() -> None:
    async with gateway(FakeTorchServe()) as client:
        asked = await client.options("/predict", headers=preflight())
        answer = await client.get("/health/live", headers=ORIGIN)
    assert asked.status_code == 405
    assert not [name for name in (*asked.headers, *answer.headers) if name.startswith("access-control")]


async def test_pages_of_a_configured_origin_may_ask_with_a_key_and_read_refusals_too(tmp_path: Path) -> None:
    keys_file = tmp_path / "api_keys.json"
    key = write_keys(keys_file, page=("predict",))["page"]
    allowed = f"gateway.cors.allow_origins=['{PAGE}']"
    async with gateway(FakeTorchServe(), *with_keys(keys_file), allowed) as client:
        asked = await client.options("/predictions/genre", headers=preflight())
        answers = [
            await client.post("/predictions/genre", content=IMAGE, headers=ORIGIN | headers)
            for headers in (bearer(key), bearer("wrong"))
        ]
        elsewhere = await client.options("/predict", headers=preflight(Origin="https://evil.com"))
        read = await client.get("/health/live", headers={"Origin": "https://evil.com"})
    assert asked.status_code == 200
    assert [answer.status_code for answer in answers] == [200, 401]
    for answer in (asked, *answers):
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert "access-control-allow-credentials" not in answer.headers
    assert "X-Model-Version" in answers[0].headers["access-control-expose-headers"]
    assert elsewhere.status_code == 400
    for answer in (elsewhere, read):
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("gateway.tls.key=own.key", "both certificate and key"),
        ("gateway.cors.allow_origins=[app.example.com]", "gateway.cors.allow_origins.0 = 'app.example.com'"),
        ("gateway.allowed_hosts=['https://a']", "gateway.allowed_hosts.0 = 'https://a'"),
        ("gateway.allowed_hosts=['a.*']", "gateway.allowed_hosts.0 = 'a.*'"),
        ("gateway.rate_limit.redis_url=localhost:6379", "gateway.rate_limit.redis_url = 'localhost:6379'"),
        ("gateway.trusted_proxies=[proxy]", "gateway.trusted_proxies.0 = 'proxy'"),
        ("gateway.trusted_proxies=['*']", "gateway.trusted_proxies.0 = '*'"),
    ],
)
def test_a_wrong_setting_is_named(override: str, named: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load("gateway", ProjectSettings, [override])
    assert named in str(caught.value)

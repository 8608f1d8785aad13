"""Inputs that people reported of servers like this one; docs/field-cases.md lists them all."""

from pathlib import Path

import pytest

from tests.encoded_images import SMALL
from tests.fake_torchserve import FakeTorchServe
from tests.keys import EVERYTHING, with_keys, write_keys
from tests.served_gateway import served_gateway
from tools.bench.hostile_clients.wire import Request, Target, converse


@pytest.mark.parametrize("name", [b"X-API-Key", b"Authorization"])
async def test_white_space_around_a_key_is_not_part_of_it(tmp_path: Path, name: bytes) -> None:
    keys = write_keys(tmp_path / "keys.json", mobile=EVERYTHING)
    value = keys["mobile"] if name == b"X-API-Key" else f"Bearer {keys['mobile']}"
    image = SMALL["JPEG"]
    with served_gateway(FakeTorchServe(), *with_keys(tmp_path / "keys.json")) as server:
        target = Target(server.config.host, server.config.port, "genre", image)
        headers = [(name, b"\t%s \t " % value.encode()), (b"Content-Type", b"image/jpeg ")]
        request = Request(path="/predictions/genre", headers=headers, body=image)
        assert [answer.status for answer in await converse(target, request.raw)] == [200]

"""KServe's own client, run by the Python of .venv-kserve: asks the gateway and prints the answers as JSON.

Arguments: the gateway's URL, a version, and files with images.
"""

import asyncio
import base64
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

Answer = dict[str, float]


async def v1(url: str, images: list[bytes]) -> dict[str, Any]:
    async with InferenceRESTClient(RESTConfig(protocol="v1")) as client:
        instances = [{"data": base64.b64encode(image).decode()} for image in images]
        answer = await client.infer(url, {"instances": instances}, model_name="genre")
        return {"ready": [await client.is_model_ready(url, "genre")], "v1": answer["predictions"]}


async def v2(url: str, version: str, images: list[bytes]) -> dict[str, Any]:
    async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
        return {
            "ready": [
                await client.is_server_live(url),
                await client.is_server_ready(url),
                await client.is_model_ready(url, "genre"),
                await client.is_model_ready(url, f"genre/versions/{version}"),
            ],
            "v2 as base64": await infer(client, url, list(map(base64.b64encode, images)), binary=False),
            "v2 binary": await infer(client, url, images, binary=True),
        }


async def infer(
    client: InferenceRESTClient, url: str, elements: list[bytes], *, binary: bool
) -> list[Answer]:
    tensor = np.array(elements, dtype=np.object_)
    image = InferInput("image", list(tensor.shape), "BYTES")
    image.set_data_from_numpy(tensor, binary_data=binary)
    request = InferRequest("genre", [image], request_id="7", parameters={"binary_data_output": binary})
    response = await client.infer(url, request, model_name="genre")
    assert response.id == "7"
    classes, probabilities = (output.as_numpy() for output in response.outputs)
    return [
        dict(zip(map(str, labels), map(float, row), strict=True))
        for labels, row in zip(classes, probabilities, strict=True)
    ]


async def both(url: str, version: str, images: list[bytes]) -> dict[str, Any]:
    first, second = await v1(url, images), await v2(url, version, images)
    return first | second | {"ready": first["ready"] + second["ready"]}


def main(url: str, version: str, *files: str) -> None:
    answers = asyncio.run(both(url, version, [Path(file).read_bytes() for file in files]))
    json.dump(answers, sys.stdout)


main(*sys.argv[1:])

"""Ray Serve: `python -m tools.bench.peers.servers.ray_application PORT FOLDER`."""

import sys
import threading

import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import JSONResponse

from tools.bench.peers.servers.classifier import Classifier, workload

SETTINGS = workload()


@serve.deployment(
    num_replicas=SETTINGS["workers"], ray_actor_options={"num_cpus": 1}, max_ongoing_requests=64
)
class Genre:
    """An image in, probabilities out."""

    def __init__(self) -> None:
        self._classifier = Classifier()

    @serve.batch(  # type: ignore[untyped-decorator]
        max_batch_size=SETTINGS["batch_size"], batch_wait_timeout_s=SETTINGS["max_batch_delay"] / 1000
    )
    async def classify(self, images: list[bytes]) -> list[dict[str, float]]:
        """Answers a batch."""
        return self._classifier.classify(images)

    async def __call__(self, request: Request) -> JSONResponse:
        """Answers a request; GET tells that the application is there."""
        if request.method == "GET":
            return JSONResponse({})
        return JSONResponse(await self.classify(await request.body()))


if __name__ == "__main__":
    ray.init(
        num_cpus=SETTINGS["workers"],
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=100_000_000,
        _node_ip_address="127.0.0.1",
        _temp_dir=sys.argv[2],
    )
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run(Genre.bind())  # type: ignore[attr-defined]
    threading.Event().wait()

"""One model on the TorchServe of a throwaway stack, registered, scaled and asked by its own API."""

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx

from tools.studies.settings import StudySettings
from tools.throwaway_stack import ThrowawayStack
from torchserve_gateway.deployment.archives.building import built_archive
from torchserve_gateway.load_test.images import image_files
from torchserve_gateway.settings.model_parts.samples import OCTET_STREAM

Body = tuple[bytes, str]


class StudyError(Exception):
    """TorchServe refused a call or answered a request with an error."""


class ServedModel:
    """The caller closes it; requests are the model's samples in turn, or images."""

    def __init__(self, stack: ThrowawayStack, settings: StudySettings, clients: int) -> None:
        self.name, self.version = settings.model.name, settings.model.version
        self._stack, self._settings = stack, settings
        self._http = httpx.Client(
            timeout=settings.request_timeout_s,
            limits=httpx.Limits(max_connections=clients),
            trust_env=False,
        )
        self._pool = ThreadPoolExecutor(clients)
        self._bodies: Iterator[Body] = itertools.cycle(_bodies(settings))

    def close(self) -> None:
        """Closes connections and threads."""
        self._pool.shutdown()
        self._http.close()

    def build(self) -> str:
        """Builds the archive into TorchServe's model store and returns its name; raises ArchiveBuildError."""
        store = {"model_mars": self._stack.settings.torchserve.model_store}
        return built_archive(self._settings.model_copy(update=store)).name

    def register(self, archive: str, **parameters: str | int) -> None:
        """Registers the archive with workers that are READY when this returns; raises StudyError."""
        named: dict[str, str | int] = {"url": archive, "model_name": self.name, "synchronous": "true"}
        self._manage("POST", "", named | parameters)

    def scale(self, workers: int) -> None:
        """Starts or ends workers, and returns when they are READY; raises StudyError."""
        number: dict[str, str | int] = {"min_worker": workers, "max_worker": workers, "synchronous": "true"}
        self._manage("PUT", f"/{self.name}", number)

    def unregister(self) -> None:
        """Removes the version; raises StudyError."""
        self._manage("DELETE", f"/{self.name}/{self.version}", {})

    def metrics(self) -> str:
        """The page of TorchServe's metrics; raises StudyError."""
        return self._answer("GET", f"{self._stack.settings.torchserve.metrics_url}/metrics", None).text

    def send(self, requests: int) -> None:
        """Sends requests from all clients until as many are answered; raises StudyError."""
        url = f"{self._stack.settings.torchserve.inference_url}/predictions/{self.name}"
        bodies = list(itertools.islice(self._bodies, requests))
        for _ in self._pool.map(lambda body: self._answer("POST", url, body), bodies):
            pass

    def _manage(self, method: str, path: str, parameters: dict[str, str | int]) -> None:
        url = f"{self._stack.settings.torchserve.management_url}/models{path}"
        self._answer(method, url, None, parameters)

    def _answer(
        self, method: str, url: str, body: Body | None, parameters: dict[str, str | int] | None = None
    ) -> httpx.Response:
        content, headers = (body[0], {"Content-Type": body[1]}) if body else (None, None)
        try:
            answer = self._http.request(method, url, content=content, headers=headers, params=parameters)
        except httpx.HTTPError as exc:
            raise StudyError(f"{method} {url}: {exc or type(exc).__name__}") from exc
        if answer.is_error:
            raise StudyError(f"{method} {url}: {answer.status_code} {answer.text[:300]}")
        return answer


def _bodies(settings: StudySettings) -> list[Body]:
    samples = settings.model.samples
    if samples:
        return [(sample.file.read_bytes(), sample.media_type) for sample in samples]
    return [(file.read_bytes(), OCTET_STREAM) for file in image_files(settings.images_dir)]

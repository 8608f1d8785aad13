"""BentoML: `bentoml serve tools.bench.peers.servers.bentoml_service:Genre`."""

from pathlib import Path

import bentoml

from tools.bench.peers.servers.classifier import Classifier, workload

SETTINGS = workload()
# Its dispatcher refuses requests that would take longer.
MAX_LATENCY_MS = 10_000


@bentoml.service(workers=SETTINGS["workers"], traffic={"timeout": 60}, logging={"access": {"enabled": False}})
class Genre:
    """Images in, probabilities out."""

    def __init__(self) -> None:
        self.classifier = Classifier()

    @bentoml.api(  # type: ignore[untyped-decorator]
        batchable=True, max_batch_size=SETTINGS["batch_size"], max_latency_ms=MAX_LATENCY_MS
    )
    def predict(self, files: list[Path]) -> list[dict[str, float]]:
        """Answers a batch."""
        return self.classifier.classify([file.read_bytes() for file in files])

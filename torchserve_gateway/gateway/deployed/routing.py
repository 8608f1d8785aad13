"""Which version answers: the record of what is deployed says it, and how each did is counted.

A version is always addressed by its own URL, so that nothing reaches one that is being retired. What the
record does not know goes to TorchServe as it is.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from torchserve_gateway.record.record import Record
from torchserve_gateway.record.reports import VersionCounts
from torchserve_gateway.torchserve_api.errors import ModelNotFoundError, RequestRefusedError
from torchserve_gateway.torchserve_api.inference import Prediction

# Requests for which TorchServe chooses the version.
UNNAMED = ""


@dataclass(frozen=True)
class Choice:
    """version: None where TorchServe chooses; shadow: a version that gets a copy, None for no copy."""

    version: str | None
    shadow: str | None = None


class Routing:
    """Follows one revision of the record at a time. counts: by model and version."""

    def __init__(self) -> None:
        self.record = Record()
        self.counts: dict[str, dict[str, VersionCounts]] = defaultdict(lambda: defaultdict(VersionCounts))

    def choose(self, model: str, requested: str | None, key: str) -> Choice:
        """The version for one request. key: requests with the same one stay with one version.

        Raises:
            ModelNotFoundError: the requested version is being retired.
        """
        deployed = self.record.models.get(model)
        if deployed is None:
            return Choice(requested)
        if requested is not None:
            if requested in deployed.retiring:
                raise ModelNotFoundError(
                    404,
                    "ModelVersionNotFoundException",
                    f"Model version: {requested} of {model} is being retired; "
                    f"{deployed.serving.version} serves",
                )
            return Choice(requested)
        serving, trial = deployed.serving.version, deployed.trial
        if trial is None or position(model, key) >= trial.share:
            return Choice(serving)
        return Choice(trial.version) if trial.kind == "canary" else Choice(serving, shadow=trial.version)

    def counts_of(self, model: str, version: str | None) -> VersionCounts:
        """Where a request is counted; names that strangers make up share one place."""
        deployed = self.record.models.get(model)
        if deployed is None:
            return self.counts[UNNAMED][UNNAMED]
        return self.counts[model][version if version in deployed.states else UNNAMED]

    def archive_sha256(self, model: str, version: str | None) -> str | None:
        """Of the version that serves; None for any other, of which nobody knows whether it stays the same."""
        deployed = self.record.models.get(model)
        return deployed.serving.sha256 if deployed and deployed.serving.version == version else None

    @contextmanager
    def in_flight(self, model: str, version: str | None) -> Iterator[VersionCounts]:
        """Counts one request while it waits for its answer."""
        counts = self.counts_of(model, version)
        counts.in_flight += 1
        try:
            yield counts
        finally:
            counts.in_flight -= 1

    @contextmanager
    def counted(self, model: str, version: str | None) -> Iterator["Outcome"]:
        """Counts one prediction while it is in flight, and how it ended.

        What the client did wrong or gave up on is no failure of the version.
        """
        with self.in_flight(model, version) as counts:
            try:
                yield Outcome(counts)
            except RequestRefusedError as exc:
                # A version that the record sends requests to and that is not there is the version's failure.
                counts.failed += isinstance(exc, ModelNotFoundError)
                raise
            except Exception:
                counts.failed += 1
                raise


@dataclass(frozen=True)
class Outcome:
    """Where the answer of a counted request is put."""

    counts: VersionCounts

    def answered(self, prediction: Prediction) -> Prediction:
        """Counts the answer and returns it; a status of 500 or above is the version's failure."""
        if prediction.status >= 500:
            self.counts.failed += 1
        else:
            self.counts.observe(prediction.torchserve_s)
        return prediction


def position(model: str, key: str) -> float:
    """Where a key lies between 0 and 1, evenly spread and always the same: below a share it is in the trial.

    So a share that grows keeps everybody it had.
    """
    digest = hashlib.blake2b(f"{model}\0{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64

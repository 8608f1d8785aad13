"""The version that serves a request, by the record of deployed versions.

A version is always addressed by its own URL, so that nothing reaches a version that is being retired. Models
that are not on record go to TorchServe unchanged.
"""

import hashlib
from collections import defaultdict
from collections.abc import Collection

from torchserve_gateway.record.record import Record
from torchserve_gateway.record.reports import VersionCounts
from torchserve_gateway.torchserve_api.errors import ModelNotFoundError

# Counts requests for which TorchServe chooses the version.
UNNAMED = ""


class Routing:
    """Follows one revision of the record at a time."""

    def __init__(self) -> None:
        self.record = Record()
        """The revision in force."""
        self.counts: dict[str, dict[str, VersionCounts]] = defaultdict(lambda: defaultdict(VersionCounts))
        """By model and version."""

    def choose(self, model: str, requested: str | None, key: str) -> str | None:
        """The version for one request; None leaves the choice to TorchServe.

        Args:
            model: Name as in the path.
            requested: Version that the client named, if any.
            key: Requests with the same key stay with one version.

        Raises:
            ModelNotFoundError: the requested version is being retired.
        """
        deployed = self.record.models.get(model)
        if deployed is None:
            return requested
        if requested is None:
            canary = self._trial_for("canary", model, key)
            return canary or deployed.serving.version
        if requested in deployed.retiring:
            raise ModelNotFoundError(
                404,
                "ModelVersionNotFoundException",
                f"Model version: {requested} of {model} is being retired; {deployed.serving.version} serves",
            )
        return requested

    def explained(
        self, error: ModelNotFoundError, model: str, requested: str | None, configured: Collection[str] = ()
    ) -> ModelNotFoundError:
        """TorchServe's error with what is deployed or configured, and the command that helps."""
        deployed = self.record.models.get(model)
        if deployed is None:
            files = f"; configured: {', '.join(configured)}" if len(configured) > 1 else ""
            hint = f"{self.record.summary}{files}; make upload_model MODEL={model} deploys it"
        elif requested in (None, deployed.serving.version):
            version = deployed.serving.version
            hint = f"{version} is on record; make upload_model MODEL={model} VERSION={version} brings it back"
        else:
            hint = f"{deployed.serving.version} serves"
        return ModelNotFoundError(error.status, error.type, error.message, hint)

    def shadow(self, model: str, key: str) -> str | None:
        """The version that gets a copy of a request that names no version; None for no copy."""
        return self._trial_for("shadow", model, key)

    def _trial_for(self, kind: str, model: str, key: str) -> str | None:
        deployed = self.record.models.get(model)
        trial = deployed.trial if deployed else None
        if trial is None or trial.kind != kind or position(model, key) >= trial.share:
            return None
        return trial.version

    def counts_of(self, model: str, version: str | None) -> VersionCounts:
        """Counts that a request belongs to; names that are not on record share one place."""
        deployed = self.record.models.get(model)
        if deployed is None:
            return self.counts[UNNAMED][UNNAMED]
        return self.counts[model][version if version in deployed.states else UNNAMED]

    def may_repeat(self, model: str, version: str | None) -> bool:
        """Whether a job that failed with its batch may run again: on record, idempotent, in batches."""
        deployed = self.record.models.get(model)
        if deployed is None or not deployed.serving.idempotent:
            return False
        return deployed.serving.batch_size > 1 or version != deployed.serving.version

    def takes_any_input(self, model: str) -> bool:
        """Whether the record says that the model's inputs pass as they are, as those of others' archives."""
        deployed = self.record.models.get(model)
        return deployed is not None and deployed.serving.takes_any_input

    def archive_sha256(self, model: str, version: str | None) -> str | None:
        """SHA-256 of the serving version's archive; None if unknown, and for versions that may change."""
        deployed = self.record.models.get(model)
        is_serving = deployed is not None and deployed.serving.version == version
        return deployed.serving.sha256 or None if deployed and is_serving else None


def position(model: str, key: str) -> float:
    """Position of a key in [0, 1), evenly spread and stable: below the share it is in the trial.

    A share that grows keeps every key that it had.
    """
    digest = hashlib.blake2b(f"{model}\0{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64

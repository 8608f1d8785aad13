"""Puts models that others registered on record, so that the gateway treats them as deployed.

A model on record stays as it is where it agrees with TorchServe. Where it does not, TorchServe wins only if
`overwrite` is set.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from torchserve_gateway.downloads import sha256, without_credentials
from torchserve_gateway.migration.running import RunningModel
from torchserve_gateway.record.inputs import takes_images
from torchserve_gateway.record.manifest import UNREADABLE
from torchserve_gateway.record.record import DeployedModel, DeployedVersion
from torchserve_gateway.torchserve_api.descriptions import ModelVersion

# TorchServe's own, where an older TorchServe does not tell.
DEFAULT_STARTUP_TIMEOUT_S = 120
PARAMETERS = ("batch_size", "max_batch_delay", "initial_workers", "response_timeout", "startup_timeout")


@dataclass(frozen=True)
class Terms:
    """Terms of an adoption, the same for all models."""

    replicas: int
    """TorchServes that were asked."""
    model_store: Path | None
    """TorchServe's, if it is on this disk."""
    deadline_s: float
    """The gateway's deadline."""
    idempotent: bool
    overwrite: bool


@dataclass
class Adoption:
    """The outcome for one model."""

    entry: DeployedModel | None = None
    """To be written; None: the record stays."""
    lines: list[str] = field(default_factory=list)
    agrees: bool = True
    """Whether the record then says what TorchServe runs."""

    def differs(self, line: str) -> "Adoption":
        """Without an entry, since record and TorchServe differ."""
        self.lines.append(line)
        self.agrees, self.entry = False, None
        return self


def adoption(name: str, model: RunningModel, before: DeployedModel | None, terms: Terms) -> Adoption:
    """Compares a running model with its entry in the record.

    Args:
        name: the model's name.
        model: as the replicas have it.
        before: its entry, if it has one.
        terms: of the adoption.
    """
    outcome = Adoption()
    versions = sorted(set(model.defaults.values()))
    if not versions:
        return outcome.differs(f"{name}: TorchServe lists it and cannot describe it; not adopted")
    if len(versions) > 1:
        by_replica = ", ".join(f"{version} on {replica}" for replica, version in model.defaults.items())
        return outcome.differs(f"{name}: not adopted, its default version differs: {by_replica}")
    if min(each.min_workers for each in model.described) == 0:
        return outcome.differs(
            f"{name} {versions[0]}: not adopted, it has no workers and answers 503; give it some and adopt "
            f'again: make manage ARGS="scale {name} --min-worker 1"'
        )
    outcome.lines += [f"{name} {versions[0]}: {each}" for each in _remarks(model, terms)]
    found = _version(model.described, terms)
    if before is None:
        outcome.entry = DeployedModel(serving=found, replicas=len(model.defaults))
        outcome.lines.append(f"{name} {found.version}: on record now, {_summary(found)}")
        outcome.lines += [f"{name} {found.version}: {each}" for each in _without_archive(found, terms)]
        return outcome
    return _compared(name, outcome, found, len(model.defaults), before, terms)


def _compared(
    name: str, outcome: Adoption, found: DeployedVersion, replicas: int, before: DeployedModel, terms: Terms
) -> Adoption:
    differences = list(_differences(found, replicas, before))
    if before.trial or before.retiring:
        return outcome.differs(f"{name}: a deploy of it did not end; run make upload_model again, then adopt")
    if not differences:
        outcome.lines.append(f"{name} {found.version}: on record already, {_summary(found)}")
        return outcome
    text = "; ".join(differences)
    if not terms.overwrite:
        return outcome.differs(f"{name}: {text}; overwrite=true takes over what TorchServe runs")
    previous = (before.serving, *before.previous)
    if before.serving.version == found.version:
        update: dict[str, object] = dict(found.parameters())
        if found.sha256:
            update |= found.model_dump(include={"sha256", "takes_images"})
        found = before.serving.model_copy(update=update)
        previous = before.previous
    kept = tuple(each for each in previous if each.version != found.version)
    outcome.entry = DeployedModel(serving=found, replicas=replicas, previous=kept)
    outcome.lines.append(f"{name} {found.version}: overwritten on record: {text}")
    return outcome


def _version(described: list[ModelVersion], terms: Terms) -> DeployedVersion:
    first = described[0]
    file = terms.model_store / first.archive_name if terms.model_store else None
    if file and not file.is_file():
        file = None
    return DeployedVersion(
        version=first.model_version,
        source=without_credentials(first.model_url),
        archive=first.archive_name,
        sha256=sha256(file) if file else "",
        adopted=True,
        takes_images=_takes_images(file) if file else None,
        idempotent=terms.idempotent,
        batch_size=first.batch_size,
        max_batch_delay=first.max_batch_delay,
        initial_workers=min(each.min_workers for each in described),
        response_timeout=first.response_timeout,
        startup_timeout=first.startup_timeout or DEFAULT_STARTUP_TIMEOUT_S,
    )


def _takes_images(archive: Path) -> bool | None:
    """As the archive says; None for a file that is no model archive, which TorchServe runs nevertheless."""
    try:
        return takes_images(archive)
    except UNREADABLE:
        return None


def _differences(found: DeployedVersion, replicas: int, before: DeployedModel) -> Iterator[str]:
    serving = before.serving
    if found.version != serving.version:
        yield f"TorchServe's default version is {found.version}, the record's {serving.version}"
        return
    for key in PARAMETERS:
        if getattr(found, key) != getattr(serving, key):
            yield f"{key} is {getattr(found, key)}, the record says {getattr(serving, key)}"
    if found.sha256 and found.sha256 != serving.sha256:
        yield f"its archive has sha256 {found.sha256}, the record {serving.sha256 or 'does not know it'}"
    if replicas != before.replicas:
        yield f"{replicas} TorchServes have it, the record says {before.replicas}"


def _remarks(model: RunningModel, terms: Terms) -> Iterator[str]:
    """Facts about the running model that its owner should know."""
    described, first = model.described, model.described[0]
    if len(described) < terms.replicas:
        yield f"only {len(described)} of {terms.replicas} TorchServes have it"
    if len({each.min_workers for each in described}) > 1:
        yield "the numbers of workers differ by TorchServe; the smallest counts"
    if any(
        (each.batch_size, each.max_batch_delay) != (first.batch_size, first.max_batch_delay)
        for each in described
    ):
        yield f"the batching differs by TorchServe; that of {next(iter(model.defaults))} counts"
    ready, workers = (
        sum(each.ready_workers for each in described),
        sum(each.min_workers for each in described),
    )
    if ready < workers:
        yield f"{ready} of its {workers} workers are READY"
    if model.others:
        yield f"{', '.join(model.others)} beside it answer when a path names them, until the next deploy"
    if first.response_timeout <= terms.deadline_s:
        yield (
            f"TorchServe kills a worker after response_timeout = {first.response_timeout} s, and requests "
            f"may take gateway.deadline_s = {terms.deadline_s:g}; set a shorter deadline"
        )


def _without_archive(found: DeployedVersion, terms: Terms) -> Iterator[str]:
    if found.sha256:
        return
    where = (
        "torchserve.model_store is null" if terms.model_store is None else f"it is not in {terms.model_store}"
    )
    yield (
        f"{found.archive} is out of reach, {where}: its answers are not cached, and no rollback leads to it; "
        "set torchserve.model_store to TorchServe's and adopt with overwrite=true"
    )


def _summary(version: DeployedVersion) -> str:
    workers = version.initial_workers
    noun = "worker" if workers == 1 else "workers"
    return f"{workers} {noun}, batches of {version.batch_size} in {version.max_batch_delay} ms"

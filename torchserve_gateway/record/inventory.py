"""Overview of versions, from the record and every TorchServe."""

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict

from torchserve_gateway.record.engine import Engine
from torchserve_gateway.record.record import DeployedModel, DeployedVersion, Record
from torchserve_gateway.torchserve_api.connection import TorchServe
from torchserve_gateway.torchserve_api.descriptions import ModelVersion
from torchserve_gateway.torchserve_api.versions import default_version, registered


class Row(BaseModel):
    """One version of a model; numbers are sums over the replicas."""

    model_config = ConfigDict(frozen=True)

    model: str
    version: str
    state: str
    """serving, canary 5 %, shadow 100 %, retiring, kept (for a rollback) or registered (by others)."""
    default_on: int
    """Replicas on which it is the default version."""
    on: int
    """Replicas on which it is registered."""
    of: int
    """All replicas."""
    workers_ready: int
    workers: int
    batch_size: int
    max_batch_delay: int
    """In ms."""
    queued: int
    """Jobs in TorchServe's queue; running batches are not counted."""
    since: str | None
    """Time of its deploy; None if it is not on record."""
    engine: Engine | None
    """Engine and parity of its archive; None if it is not on record."""


async def inventory(names: Iterable[str], record: Record, reached: list[TorchServe], of: int) -> list[Row]:
    """Lists all versions of these models, registered or on record.

    Args:
        names: the models.
        record: the record of deployed versions.
        reached: replicas that answer.
        of: number of all replicas.

    Raises:
        TorchServeError: a reached replica no longer gives a valid answer.
    """
    return [row for name in sorted(names) for row in await _rows_of(name, record, reached, of)]


async def _rows_of(name: str, record: Record, reached: list[TorchServe], of: int) -> list[Row]:
    by_version: dict[str, list[ModelVersion]] = {}
    defaults = []
    for torchserve in reached:
        for version, each in (await registered(torchserve.management, name)).items():
            by_version.setdefault(version, []).append(each)
        defaults.append(await default_version(torchserve.management, name))
    model = record.models.get(name)
    rows = [
        Row(
            model=name,
            version=version,
            state=_state(version, model),
            default_on=defaults.count(version),
            on=len(each),
            of=of,
            workers_ready=sum(described.ready_workers for described in each),
            workers=sum(described.min_workers for described in each),
            batch_size=each[0].batch_size,
            max_batch_delay=each[0].max_batch_delay,
            queued=sum(_queued(described) for described in each),
            since=_since(version, model),
            engine=_engine(version, model),
        )
        for version, each in sorted(by_version.items())
    ]
    return rows + _kept(name, model, set(by_version), of)


def _queued(version: ModelVersion) -> int:
    return version.job_queue_status.pending_requests if version.job_queue_status else 0


def _kept(name: str, model: DeployedModel | None, there: set[str], of: int) -> list[Row]:
    """Versions that are on record but not registered: kept for a rollback, or missing."""
    if model is None:
        return []
    return [
        Row(
            model=name,
            version=each.version,
            state=_state(each.version, model),
            default_on=0,
            on=0,
            of=of,
            workers_ready=0,
            workers=0,
            batch_size=each.batch_size,
            max_batch_delay=each.max_batch_delay,
            queued=0,
            since=_since(each.version, model),
            engine=each.engine,
        )
        for each in (model.serving, *model.previous)
        if each.version not in there
    ]


def _state(version: str, model: DeployedModel | None) -> str:
    if model is None:
        return "registered"
    if version == model.serving.version:
        return "serving"
    if model.trial and version == model.trial.version:
        return f"{model.trial.kind} {model.trial.share * 100:g} %"
    if version in model.retiring:
        return "retiring"
    return "kept" if any(version == each.version for each in model.previous) else "registered"


def _since(version: str, model: DeployedModel | None) -> str | None:
    on_record = _on_record(version, model)
    return f"{on_record.deployed_at:%Y-%m-%d %H:%M:%S}" if on_record else None


def _engine(version: str, model: DeployedModel | None) -> Engine | None:
    on_record = _on_record(version, model)
    return on_record.engine if on_record else None


def _on_record(version: str, model: DeployedModel | None) -> DeployedVersion | None:
    on_record = (model.serving, *model.previous) if model else ()
    return next((each for each in on_record if each.version == version), None)

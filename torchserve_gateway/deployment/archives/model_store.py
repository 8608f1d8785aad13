"""Archives into and out of the model store of a TorchServe on the same disk."""

import os
import shutil
from collections.abc import Set as AbstractSet
from pathlib import Path

from torchserve_gateway.deployment.errors import ModelStoreError
from torchserve_gateway.downloads import sha256
from torchserve_gateway.record.record import Record
from torchserve_gateway.terminal.waits import waiting


def stage(archive: Path, digest: str, model_store: Path) -> Path:
    """Copies an archive into the model store atomically and compares the copy with its checksum.

    Returns:
        the file in the store. Unregistering does not remove it, `unstage_unused` does.

    Raises:
        ModelStoreError: another archive has that name there, the copy has another checksum, or no space.
    """
    staged = model_store / archive.name
    try:
        model_store.mkdir(parents=True, exist_ok=True)
        if staged.exists():
            if sha256(staged) == digest:
                return staged
            raise ModelStoreError(
                f"the model store holds another {archive.name}; a version never changes, take another VERSION"
            )
        part = staged.with_name(f".{archive.name}.{os.getpid()}.part")
        try:
            with waiting(f"{archive.name} to be copied into the model store"):
                shutil.copyfile(archive, part)
                copied = sha256(part)
            if copied != digest:
                raise ModelStoreError(f"{archive} was changed while it was deployed; deploy it again")
            part.replace(staged)
        finally:
            part.unlink(missing_ok=True)
    except OSError as exc:
        raise ModelStoreError(f"cannot put {archive.name} into the model store: {exc}") from exc
    return staged


def unstage(name: str, model_store: Path) -> None:
    """Removes an archive from the model store."""
    (model_store / name).unlink(missing_ok=True)


def unstage_unused(archives: AbstractSet[str], record: Record, model_store: Path | None) -> None:
    """Removes those of the archives that no model on record serves or keeps for a rollback."""
    if model_store is None:
        return
    # All models: two may be served from the same archive.
    models = record.models.values()
    kept = {each.archive for model in models for each in (model.serving, *model.previous)}
    for archive in archives - kept:
        unstage(archive, model_store)

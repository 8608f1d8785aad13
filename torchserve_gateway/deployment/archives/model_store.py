"""Archives into and out of the model store of a TorchServe that shares a disk with us."""

import os
import shutil
from pathlib import Path

from torchserve_gateway.deployment.errors import ModelStoreError
from torchserve_gateway.downloads import sha256


def stage(archive: Path, digest: str, model_store: Path) -> Path:
    """Puts an archive into the model store, whole and with that sha256 or not at all.

    Returns:
        the file in the store, which unregistering does not remove: see `unstage`.

    Raises:
        ModelStoreError: another archive has that name there, it is not what was verified, or no space.
    """
    staged = model_store / archive.name
    try:
        model_store.mkdir(parents=True, exist_ok=True)
        if staged.exists():
            if sha256(staged) == digest:
                return staged
            raise ModelStoreError(
                f"the model store holds another {archive.name}; a version never changes, take a new one"
            )
        part = staged.with_name(f".{archive.name}.{os.getpid()}.part")
        try:
            shutil.copyfile(archive, part)
            if sha256(part) != digest:
                raise ModelStoreError(f"{archive} was changed while it was deployed; deploy it again")
            part.replace(staged)
        finally:
            part.unlink(missing_ok=True)
    except OSError as exc:
        raise ModelStoreError(f"cannot put {archive.name} into the model store: {exc}") from exc
    return staged


def holds(name: str, model_store: Path) -> bool:
    """Whether the model store has a file of that name."""
    return (model_store / name).exists()


def unstage(name: str, model_store: Path) -> None:
    """Takes an archive that no version needs any more out of the model store."""
    (model_store / name).unlink(missing_ok=True)

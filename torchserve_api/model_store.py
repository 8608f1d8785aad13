"""Archives into and out of the model store of a TorchServe that shares a disk with us."""

import fcntl
import filecmp
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path


class ModelStoreError(Exception):
    """The archive is missing, or the model store cannot take it."""


@contextmanager
def deploy_lock(model_store: Path) -> Iterator[None]:
    """Keeps other deploys to the same TorchServe out; the lock ends with the process, however it ends.

    Raises:
        ModelStoreError: another deploy runs, or the model store cannot be written.
    """
    with ExitStack() as stack:
        try:
            model_store.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context((model_store / ".deploy.lock").open("w"))
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise ModelStoreError("another deploy is running; wait until it has ended") from exc
        except OSError as exc:
            raise ModelStoreError(f"the model store cannot be used: {exc}") from exc
        yield


def stage(archive: Path, model_store: Path) -> Path:
    """Puts an archive into the model store, whole or not at all.

    Returns:
        the file in the store, which unregistering does not remove: see `unstage`.

    Raises:
        ModelStoreError: there is no such archive, another one has that name there, or no space.
    """
    staged = model_store / archive.name
    if not archive.is_file():
        raise ModelStoreError(f"{archive} does not exist; build it with make generate_mar")
    try:
        model_store.mkdir(parents=True, exist_ok=True)
        if staged.exists():
            if filecmp.cmp(archive, staged, shallow=False):
                return staged
            raise ModelStoreError(
                f"the model store holds another {archive.name}; a version never changes, take a new one"
            )
        part = staged.with_name(f".{archive.name}.{os.getpid()}.part")
        try:
            shutil.copyfile(archive, part)
            part.replace(staged)
        finally:
            part.unlink(missing_ok=True)
    except OSError as exc:
        raise ModelStoreError(f"cannot put {archive.name} into the model store: {exc}") from exc
    return staged


def unstage(name: str, model_store: Path) -> None:
    """Takes an archive that no registered version uses out of the model store."""
    (model_store / name).unlink(missing_ok=True)

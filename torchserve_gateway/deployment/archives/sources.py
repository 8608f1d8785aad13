"""Obtains the archive of a deploy or a rollback, verified.

upload      no URL configured      built from the model's parts
            a file name            taken from model_mars/
            a URL                  downloaded
            archive_source.path    taken as it is
rollback    kept in the store      taken from there
            else                   downloaded again from its recorded URL
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

from torchserve_gateway.deployment.archives.building import built_archive
from torchserve_gateway.deployment.archives.foreign import foreign_archive
from torchserve_gateway.deployment.archives.remote import remote_archive
from torchserve_gateway.deployment.archives.verification import Archive, verified
from torchserve_gateway.deployment.errors import ArchiveBuildError, ArchiveRefusedError, ModelStoreError
from torchserve_gateway.record.record import DeployedVersion
from torchserve_gateway.settings.deployment import SwapSettings, UploadSettings
from torchserve_gateway.settings.model_parts.handlers import FOREIGN_HANDLER
from torchserve_gateway.terminal.interruption import undo_at_sigterm


def requested_archive(settings: UploadSettings) -> AbstractContextManager[Archive]:
    """The archive that `config/upload.yaml` names, or a newly built archive if it names none.

    Raises:
        DeploymentError: the archive cannot be built, is missing, or fails verification.
    """
    undo_at_sigterm()
    source, sha256 = settings.request_params.url, settings.archive_source.sha256
    if file := settings.archive_source.path:
        _refuse_without_store(settings, file)
        return foreign_archive(file, settings.served.name, settings.model.version, sha256)
    if source is None and str(settings.model.handler) == FOREIGN_HANDLER:
        raise ArchiveBuildError(
            f"{settings.model.name} has no parts to build from; name an archive: MAR=theirs.mar"
        )
    if source and "://" in source:
        return remote_archive(settings, source, settings.model.version, sha256)
    file = settings.model_mars / source if source else built_archive(settings)
    return nullcontext(local_archive(settings, file, settings.model.version, sha256))


def kept_archive(settings: SwapSettings, wanted: DeployedVersion) -> AbstractContextManager[Archive]:
    """The archive of a version on record.

    Raises:
        DeploymentError: it was not kept and has no URL, or it fails verification.
    """
    undo_at_sigterm()
    store = settings.torchserve.model_store
    if store and (store / wanted.archive).is_file():
        return nullcontext(local_archive(settings, store / wanted.archive, wanted.version, wanted.sha256))
    if "://" in wanted.source:
        return remote_archive(settings, wanted.source, wanted.version, wanted.sha256)
    raise ModelStoreError(
        f"{wanted.archive} was not kept in the model store; deploy it again with "
        f"make upload_model VERSION={wanted.version}"
    )


def local_archive(settings: SwapSettings, file: Path, version: str, expected_sha256: str | None) -> Archive:
    """An archive on this machine's disk.

    Raises:
        ArchiveRefusedError: TorchServe has another disk, or the archive fails verification.
        ModelStoreError: the file is missing.
    """
    _refuse_without_store(settings, file)
    if not file.is_file():
        raise ModelStoreError(f"{file} does not exist; build it with make generate_mar")
    return replace(verified(file, str(file), version, expected_sha256), source=file.name)


def _refuse_without_store(settings: SwapSettings, file: Path) -> None:
    if settings.torchserve.model_store is None:
        raise ArchiveRefusedError(
            f"{file} cannot be put into TorchServe's model store, torchserve.model_store is null; give a URL "
            "that TorchServe can download from, for example archive_source=file_browser"
        )

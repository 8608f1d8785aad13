"""The results that the commands print; as JSON with TorchServe's keys."""

from torchserve_gateway.torchserve_api.descriptions import Answer, ModelVersion


class Done(Answer):
    """TorchServe's status text."""

    status: str


class Changed(Done):
    """A version whose workers were started or stopped, or are about to be."""

    version: ModelVersion


class Description(Answer):
    """Versions of one model."""

    default_version: str
    versions: list[ModelVersion]

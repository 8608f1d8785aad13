"""What the commands print; as JSON with TorchServe's keys."""

from torchserve_gateway.torchserve_api.descriptions import Answer, ModelVersion


class Done(Answer):
    """TorchServe's status text."""

    status: str


class Changed(Done):
    """A version after its workers were started or stopped, or are about to be."""

    version: ModelVersion


class Description(Answer):
    """Versions of one model. default_version: the one that answers requests that name none."""

    default_version: str
    versions: list[ModelVersion]

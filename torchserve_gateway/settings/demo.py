"""The settings of the demo, `config/demo.yaml`."""

from pydantic import PositiveFloat

from torchserve_gateway.settings.composition import ResourcePath
from torchserve_gateway.settings.project import ProjectSettings


class DemoSettings(ProjectSettings):
    """The root `config/demo.yaml`."""

    images_dir: ResourcePath | None
    """Images for the chosen model; None: those beside its samples."""
    request_timeout_s: PositiveFloat
    """Seconds until a request is given up."""

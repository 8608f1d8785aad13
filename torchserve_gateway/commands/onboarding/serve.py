"""`serve model.pt`: from a file to an answering URL; `new-model` does the same and replaces no file."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from torchserve_gateway.commands.onboarding.endpoint import AnswerError, Phases, endpoint
from torchserve_gateway.commands.stack import StackError
from torchserve_gateway.load_test.images import NoImagesError
from torchserve_gateway.local_stack.preflight import PreflightError
from torchserve_gateway.local_stack.supervisor import SupervisorConfigError
from torchserve_gateway.onboarding.asked import Asked
from torchserve_gateway.onboarding.description import describe
from torchserve_gateway.onboarding.errors import OnboardingError
from torchserve_gateway.record.errors import DeploymentError
from torchserve_gateway.settings.command import exit_code, log_to_stderr
from torchserve_gateway.terminal.interruption import undo_at_sigterm

SERVE, NEW_MODEL = "serve", "new-model"


class NotServedError(Exception):
    """The model does not serve; the message ends with the next command."""


def main(asked: Asked, overrides: Sequence[str], verb: str = SERVE) -> int:
    """Runs the command and returns the exit code; `new-model` keeps a model's file that exists."""
    log_to_stderr(logging.WARNING, "%(levelname)s %(message)s")
    undo_at_sigterm()
    failures = (NotServedError, StackError, PreflightError, SupervisorConfigError)
    return exit_code(lambda: _serve(asked, overrides, verb), failures)


def _serve(asked: Asked, overrides: Sequence[str], verb: str) -> None:
    phases = Phases()
    try:
        image = _picture(asked)
        described = describe(asked, update=verb == SERVE)
    except OnboardingError as exc:
        # make runs every target's command with this variable.
        line = asked.with_options(exc.options).command(verb, make="MAKELEVEL" in os.environ)
        raise NotServedError(f"{exc}\n{'next' if exc.options else 'then again'}: {line}") from exc
    print("\n".join(described.lines))
    phases.end("look into the file")
    try:
        endpoint(described, image, overrides, phases)
    except (DeploymentError, AnswerError, NoImagesError) as exc:
        next_line = f"torchserve-gateway deploy model={described.name}"
        raise NotServedError(f"{exc}\nnext: edit {described.file}, then {next_line}") from exc


def _picture(asked: Asked) -> Path | None:
    if asked.image_file is None:
        return None
    picture = Path(asked.image_file).expanduser()
    if not picture.is_file():
        raise OnboardingError(f"{picture} is no file; name a picture to predict", image_file="photo.jpg")
    return picture

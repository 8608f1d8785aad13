"""The installed command in this process; a Python of its own costs a second and more."""

from typer.testing import CliRunner, Result

from torchserve_gateway.commands.main import app


def command(*arguments: str) -> Result:
    """`torchserve-gateway` with these arguments, to its end."""
    return CliRunner().invoke(app, arguments, prog_name="torchserve-gateway")

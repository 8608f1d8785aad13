"""`python -m torchserve_gateway`: the same as the installed command."""

from torchserve_gateway.commands.main import app

if __name__ == "__main__":
    app(prog_name="torchserve-gateway")

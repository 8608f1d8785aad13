"""`python -m torchserve_gateway`, and the installed command."""

from torchserve_gateway.terminal.interruption import ended_by_ctrl_c


def main() -> None:
    """Runs the command line to its exit code; a Ctrl-C is one word, also while modules are imported."""
    with ended_by_ctrl_c():
        from torchserve_gateway.commands.main import app  # noqa: PLC0415 - takes long enough to be interrupted

        app(prog_name="torchserve-gateway")


if __name__ == "__main__":
    main()

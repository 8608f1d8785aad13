"""`python app.py KEY=VALUE ...`: the gateway in the foreground, as `torchserve-gateway app` runs it."""

import sys

from torchserve_gateway.terminal.interruption import ended_by_ctrl_c

if __name__ == "__main__":
    with ended_by_ctrl_c():
        from torchserve_gateway.commands.app import main

        sys.exit(main(sys.argv[1:]))

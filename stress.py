"""`python stress.py KEY=VALUE ...`: load and images per second, as `torchserve-gateway stress` runs it."""

import sys

from torchserve_gateway.terminal.interruption import ended_by_ctrl_c

if __name__ == "__main__":
    with ended_by_ctrl_c():
        from torchserve_gateway.commands.stress import main

        sys.exit(main(sys.argv[1:]))

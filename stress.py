"""`python stress.py KEY=VALUE ...`: load and images per second, as `torchserve-gateway stress` runs it."""

import sys

from torchserve_gateway.commands.stress import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

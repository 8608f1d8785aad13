"""`python app.py KEY=VALUE ...`: the gateway in the foreground, as `torchserve-gateway app` runs it."""

import sys

from torchserve_gateway.commands.app import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

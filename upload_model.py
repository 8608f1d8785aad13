"""`python upload_model.py KEY=VALUE ...`: deploys a version, as `torchserve-gateway deploy` does."""

import sys

from torchserve_gateway.commands.deploy import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

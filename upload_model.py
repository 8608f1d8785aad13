"""`python upload_model.py KEY=VALUE ... [--json]`: deploys a version, as `torchserve-gateway deploy` does."""

import sys

from torchserve_gateway.terminal.interruption import ended_by_ctrl_c

if __name__ == "__main__":
    with ended_by_ctrl_c():
        from torchserve_gateway.commands.deploy import main

        overrides = [each for each in sys.argv[1:] if each != "--json"]
        sys.exit(main(overrides, as_json="--json" in sys.argv[1:]))

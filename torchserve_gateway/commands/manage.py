"""`make manage`: TorchServe's Management API on the command line.

Exit codes: 0 done; 1 failed, one line on stderr says why; 2 bad usage or configuration.
"""

from torchserve_gateway.management_cli.commands import app

if __name__ == "__main__":
    app()

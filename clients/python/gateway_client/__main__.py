"""Runs the command line: `python -m gateway_client FILE`."""

import sys

from gateway_client.command import main

if __name__ == "__main__":
    sys.exit(main())

"""Whether a URL answers 200: `answers.py URL [SECONDS TO WAIT FOR IT]`. Slim images have no curl."""

import sys
import time
import urllib.request


def answers(url: str) -> bool:
    """Asks once."""
    # No proxy of the environment: what is asked is in the same network.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=4) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def main(url: str, wait_s: float = 0) -> str | None:
    """Returns what is wrong, for `sys.exit`."""
    give_up = time.monotonic() + wait_s
    while not answers(url):
        if time.monotonic() >= give_up:
            return f"{url} does not answer"
        time.sleep(0.5)
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *map(float, sys.argv[2:])))

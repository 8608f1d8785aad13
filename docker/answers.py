"""Waits until a URL answers 200: `answers.py URL [TIMEOUT_S]`. Slim images have no curl."""

import sys
import time
import urllib.request


def answers(url: str) -> bool:
    """Returns whether the URL answers 200 now."""
    # The URL is in the same network, so the environment's proxies are ignored.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=4) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def main(url: str, wait_s: float = 0) -> str | None:
    """Polls the URL and returns the error for `sys.exit`, None if it answers."""
    give_up = time.monotonic() + wait_s
    while not answers(url):
        if time.monotonic() >= give_up:
            return f"{url} does not answer"
        time.sleep(0.5)
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *map(float, sys.argv[2:])))

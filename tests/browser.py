"""A headless Chromium, driven by Selenium, that resolves no name but this machine's."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium.webdriver import Chrome, ChromeOptions, ChromeService

from tests.conftest import require_program


@contextmanager
def chromium(directory: Path) -> Iterator[Chrome]:
    """The browser with a profile of its own; the test is skipped where it is missing."""
    options = ChromeOptions()
    options.binary_location = require_program("chromium", "chromium-browser", "google-chrome")
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={directory}",
        "--window-size=1200,2000",
        # No name but this machine's resolves: what is not served locally cannot load.
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = Chrome(options=options, service=ChromeService(require_program("chromedriver")))
    try:
        yield browser
    finally:
        browser.quit()

"""A person opens /docs in a real browser without internet and uploads a poster."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.expected_conditions import (
    element_to_be_clickable,
    presence_of_element_located,
)
from selenium.webdriver.support.wait import WebDriverWait

from tests.browser import chromium
from tests.http_client import HTTP
from tests.processes import GIVE_UP_S
from tests.running_stack import RunningStack

OPERATION = "[id^='operations-predictions-'][id$='predict_post']"


@pytest.fixture
def chrome(tmp_path: Path) -> Iterator[Chrome]:
    with chromium(tmp_path) as browser:
        yield browser


def test_an_upload_in_swagger_ui_shows_the_prediction(
    stack: RunningStack, chrome: Chrome, images: list[Path]
) -> None:
    poster = next(image for image in images if image.stem == "horror")
    gateway = stack.settings.gateway.url
    wait = WebDriverWait(chrome, GIVE_UP_S)

    def click(selector: str) -> WebElement:
        element: WebElement = wait.until(
            element_to_be_clickable((By.CSS_SELECTOR, f"{OPERATION} {selector}"))
        )
        element.click()
        return element

    chrome.get(f"{gateway}/docs")
    click(".opblock-summary-control")
    click(".try-out__btn")
    chooser = wait.until(presence_of_element_located((By.CSS_SELECTOR, f"{OPERATION} input[type=file]")))
    chooser.send_keys(str(poster))
    click(".execute")
    body = wait.until(
        presence_of_element_located(
            (By.CSS_SELECTOR, f"{OPERATION} .live-responses-table .response-col_description pre")
        )
    )
    wait.until(lambda _: '"Horror"' in body.text)
    loaded = chrome.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert loaded
    assert [url for url in loaded if not url.startswith((gateway, "data:"))] == []


def test_every_file_of_swagger_ui_is_served_by_the_gateway(stack: RunningStack) -> None:
    gateway = stack.settings.gateway.url
    page = HTTP.get(f"{gateway}/docs").text
    assert "cdn" not in page
    assert HTTP.get(f"{gateway}/static-offline-docs/swagger-ui-bundle.js").status_code == 200

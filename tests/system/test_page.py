"""People use the web page in a real browser, before a TorchServe whose answers the tests choose."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from time import sleep
from typing import Any

import httpx
import pytest
import uvicorn
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait

from tests.browser import chromium
from tests.fake_torchserve import FakeTorchServe, described, version
from tests.free_ports import free_ports
from tests.keys import EVERYTHING, with_keys, write_keys
from tests.processes import GIVE_UP_S
from tests.served_gateway import served_gateway
from tests.unit.test_deployment_record import VERSION
from torchserve_gateway.record.record import DeployedModel, DeploymentRecord, Trial
from torchserve_gateway.settings.composition import PROJECT_ROOT

POSTERS = PROJECT_ROOT / "imgs"
HANDLER = {
    "X-Batch-Size": "4",
    "Server-Timing": "preprocess;dur=1.8, inference;dur=4.2, postprocess;dur=0.2",
}
GENRES = ("Horror", "Crime", "Drama", "Fantasy", "Western", "Comedy", "Romance")
BOXES = [
    {"class": "face", "score": 0.998, "x": 40, "y": 30, "width": 60, "height": 80},
    {"class": "hat", "score": 0.61, "x": 10, "y": 5, "width": 100, "height": 40},
]
# The beginning of a photograph of a telephone.
HEIC = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(200)
HOSTILE = "<img src=x onerror=document.title=1>.jpg"


async def answered(request: httpx.Request) -> httpx.Response:
    path = request.url.path
    if path.startswith("/models/"):
        return described(version("1.10", ready=2, workers=2))
    if "faces" in path:
        return httpx.Response(200, json=BOXES)
    if "text" in path:
        return httpx.Response(200, text="a <b>poster</b>")
    # Longer than its stages: others are not believed.
    await asyncio.sleep(0.012)
    scores = [0.9731, *(0.02 / step for step in range(1, len(GENRES)))]
    return httpx.Response(200, json=dict(zip(GENRES, scores, strict=True)), headers=HANDLER)


@dataclass
class Site:
    """A page in a browser, its gateway and the TorchServe behind it."""

    chrome: Chrome
    directory: Path
    torchserve: FakeTorchServe = field(default_factory=lambda: FakeTorchServe(answered))
    port: int = field(default_factory=lambda: free_ports(1)[0])
    running: ExitStack = field(default_factory=ExitStack)
    server: uvicorn.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def start(self, *overrides: str) -> None:
        record = f"torchserve.deployments_dir={self.directory}/deployments"
        follows = "gateway.deployments_refresh_s=0.05"
        overrides = (f"gateway.port={self.port}", record, follows, *overrides)
        self.server = self.running.enter_context(served_gateway(self.torchserve, *overrides))

    def stop(self) -> None:
        # As a signal does.
        if self.server:
            self.server.config.app.state.admission.drain()  # type: ignore[union-attr]
        self.running.close()

    def deploy(self, name: str = "genre", number: str = "1.10", **model: Any) -> None:
        deployed = DeployedModel(serving=VERSION.model_copy(update={"version": number}), **model)
        directory = self.directory / "deployments"
        directory.mkdir(exist_ok=True)
        DeploymentRecord(directory).write(name, deployed)

    def open(self, fragment: str = "") -> None:
        self.chrome.get("about:blank")
        self.chrome.get(self.url + fragment)
        self.find("body[data-ready]")

    def find(self, selector: str, count: int = 1) -> WebElement:
        found = self.wait(lambda: [each for each in self.all(selector) if each.is_displayed()][count - 1 :])
        element: WebElement = found[0]
        return element

    def all(self, selector: str) -> list[WebElement]:
        elements: list[WebElement] = self.chrome.find_elements(By.CSS_SELECTOR, selector)
        return elements

    def text(self, selector: str) -> str:
        return str(self.chrome.find_element(By.CSS_SELECTOR, selector).text)

    def wait(self, condition: Callable[[], Any]) -> Any:
        return WebDriverWait(self.chrome, GIVE_UP_S, 0.05).until(lambda _: condition())

    def script(self, code: str, *arguments: object) -> Any:
        return self.chrome.execute_script(code, *arguments)

    def pick(self, *files: Path) -> None:
        self.chrome.find_element(By.ID, "files").send_keys("\n".join(map(str, files)))

    def drop(self, name: str, content: bytes, kind: str = "drop") -> None:
        """What the browser does when a file is dropped or pasted."""
        self.script(
            """const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(arguments[1])], arguments[0]));
            const event = arguments[2] === "drop"
                ? new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true})
                : new ClipboardEvent("paste", {clipboardData: transfer, bubbles: true, cancelable: true});
            document.getElementById("drop").dispatchEvent(event);""",
            name,
            list(content),
            kind,
        )

    def errors(self) -> list[str]:
        """Complaints of the browser, such as of its Content-Security-Policy, but for failed loads."""
        lines = [str(line["message"]) for line in self.chrome.get_log("browser")]  # type: ignore[no-untyped-call]
        return [line for line in lines if "Failed to load resource" not in line]


@pytest.fixture(scope="module")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with chromium(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture
def site(chrome: Chrome, tmp_path: Path) -> Iterator[Site]:
    site = Site(chrome, tmp_path)
    yield site
    # Before the gateway stops: it waits for open streams.
    chrome.get("about:blank")
    site.stop()


@pytest.fixture
def page(site: Site) -> Site:
    site.deploy()
    site.start()
    site.open()
    return site


def poster(name: str = "horror.jpg") -> bytes:
    return (POSTERS / name).read_bytes()


def test_a_picked_picture_shows_classes_version_and_stages(page: Site) -> None:
    page.pick(POSTERS / "horror.jpg")
    card = page.find(".picture[data-state=answered]").text
    assert "horror.jpg" in card
    assert "Horror\n97.3 %" in card
    assert "2 more" in card
    assert "genre 1.10" in card
    assert "inference 4.2 ms" in card
    assert "1 of 1 answered" in page.text("#tally")
    assert page.script("return document.querySelector('.frame img').naturalWidth") > 0
    assert (
        page.script("return document.getElementById('announce').textContent") == "horror.jpg: Horror, 97.3 %"
    )
    loaded = page.script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert [url for url in loaded if not url.startswith((page.url, "blob:"))] == []
    assert page.errors() == []


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_a_picture_is_dropped_or_pasted(page: Site, kind: str) -> None:
    page.drop("dropped.jpg", poster(), kind)
    assert "dropped.jpg" in page.find(".picture[data-state=answered]").text


def test_a_sample_picture_takes_one_click(page: Site) -> None:
    page.find(".sample").click()
    assert "horror.jpg" in page.find(".picture[data-state=answered]").text


def test_each_model_offers_its_own_samples(site: Site) -> None:
    for name in ("genre", "imagenet", "unknown"):
        site.deploy(name)
    site.start("gateway.models=[genre,imagenet]")
    site.open()
    choice, shown = Select(site.find("#model")), {"genre": "horror.jpg", "imagenet": "chelsea.jpg"}
    for model in ("genre", "imagenet", "genre"):
        choice.select_by_visible_text(model)
        site.find(f".sample[aria-label='Try {shown[model]}']")
    choice.select_by_visible_text("unknown")
    site.wait(lambda: not site.chrome.find_element(By.ID, "samples").is_displayed())
    choice.select_by_visible_text("imagenet")
    site.find(".sample").click()
    assert "chelsea.jpg" in site.find(".picture").text
    assert any("/predictions/imagenet" in each.url.path for each in site.torchserve.jobs)


def test_twenty_pictures_at_once_are_all_answered(page: Site) -> None:
    files = sorted(POSTERS.glob("*.*"))[:10]
    page.pick(*files, *files)
    page.find(".picture[data-state=answered]", 20)
    assert page.text("#tally") == "20 of 20 answered"
    page.find("#clear").click()
    assert page.all(".picture") == []


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("notes.txt", b"not a picture at all", "are not an image in one of JPEG"),
        ("photo.heic", HEIC, "HEIC"),
        ("empty.jpg", b"", "empty"),
    ],
)
def test_a_wrong_file_says_so_beside_itself_and_fails_alone(
    page: Site, name: str, content: bytes, said: str
) -> None:
    page.drop("good.jpg", poster())
    page.drop(name, content)
    failed = page.find(".picture[data-state=failed]").text
    assert name in failed
    assert said in failed
    assert "Try again" not in failed
    page.find(".picture[data-state=answered]")
    assert page.text("#tally") == "1 of 2 answered, 1 failed"


def test_a_file_above_the_limit_is_not_sent(site: Site) -> None:
    site.start("gateway.max_request_bytes=1000")
    site.open()
    site.pick(POSTERS / "horror.jpg")
    assert "at most 1 kB" in site.find(".picture .error").text
    assert not [each for each in site.torchserve.requests if each.method == "POST"]


def test_names_and_answers_are_text_and_never_markup(page: Site) -> None:
    evil = {f"<img src=x onerror=document.title=2>{number}": 0.5 for number in range(2)}
    page.torchserve.answer = httpx.Response(200, json=evil)
    title = page.chrome.title
    page.drop(HOSTILE, poster())
    card = page.find(".picture[data-state=answered]")
    assert HOSTILE in card.text
    assert next(iter(evil)) in card.text
    page.torchserve.answer = httpx.Response(200, text="<script>document.title=3</script>")
    page.drop("$(reboot) `x`.jpg", poster())
    assert "<script>" in page.find(".picture[data-state=answered] .plain").text
    assert page.chrome.title == title
    assert page.all("img[onerror]") == []
    # A name that a shell could read as a command is in no command.
    assert 'curl -T "picture.jpg"' in page.text("#curl")
    assert page.errors() == []


def test_the_gateway_goes_down_and_comes_back(page: Site) -> None:
    page.stop()
    page.drop("late.jpg", poster())
    failed = page.find(".picture[data-state=failed]")
    assert "The gateway cannot be reached. Try again." in failed.text
    page.start()
    failed.find_element(By.CSS_SELECTOR, ".foot button").click()
    page.find(".picture[data-state=answered]")


def test_a_slow_picture_is_cancelled(page: Site) -> None:
    page.torchserve.hangs = True
    page.drop("slow.jpg", poster())
    page.find(".picture[data-state=sending] .foot button").click()
    page.find(".picture[data-state=cancelled]")


def test_an_upload_to_torchserve_that_fails_is_told_in_the_gateways_words(page: Site) -> None:
    page.torchserve.answer = httpx.ConnectError("refused")
    page.drop("any.jpg", poster())
    failed = page.find(".picture[data-state=failed]").text
    assert "TorchServe" in failed
    assert "Try again" in failed


def test_boxes_lie_over_the_picture_and_other_answers_are_text(site: Site) -> None:
    for name in ("genre", "faces", "text"):
        site.deploy(name)
    site.start()
    site.open()
    choice = site.find("#model")
    assert choice.text.split() == ["genre", "faces", "text"]
    Select(choice).select_by_visible_text("faces")
    assert "/predictions/faces" in site.text("#curl")
    site.drop("people.jpg", poster())
    box = site.find(".box")
    image = site.find(".picture .frame img")
    natural = site.script("return arguments[0].naturalWidth", image)
    assert box.rect["x"] - image.rect["x"] == pytest.approx(40 * image.rect["width"] / natural, abs=2)
    assert "face\n99.8 %" in site.find(".picture").text
    assert "faces 1.10" in site.find(".picture").text
    Select(choice).select_by_visible_text("text")
    site.drop("words.jpg", poster())
    assert site.find(".plain").text == "a <b>poster</b>"


def test_the_lines_for_curl_and_python_do_the_same(page: Site, tmp_path: Path) -> None:
    page.pick(POSTERS / "horror.jpg")
    page.find(".picture[data-state=answered]")
    for command in (["bash", "-c", page.text("#curl")], [sys.executable, "-c", page.text("#python")]):
        done = subprocess.run(command, cwd=POSTERS, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "0.9731" in done.stdout
    page.find("[data-copy=curl]").click()
    page.wait(lambda: page.text("[data-copy=curl]") != "Copy")


def test_with_keys_on_the_page_asks_for_one_and_keeps_it_in_the_tab(site: Site, tmp_path: Path) -> None:
    keys = write_keys(tmp_path / "keys.json", all=EVERYTHING, predict=("predict",))
    site.deploy()
    site.start(*with_keys(tmp_path / "keys.json"))
    site.open()
    field = site.find("#key")
    assert not site.chrome.find_element(By.ID, "samples").is_displayed()
    site.drop("locked.jpg", poster())
    assert "needs a valid API key" in site.find(".picture[data-state=failed]").text
    field.send_keys(keys["predict"] + Keys.ENTER)
    assert "Horror" in site.find(".picture[data-state=answered]").text
    site.find(".sample")
    # Lines to copy hold no key.
    assert "$GATEWAY_KEY" in site.text("#curl")
    assert keys["predict"] not in site.script("return document.body.innerText")
    site.find("#tab-live").click()
    site.wait(lambda: "lacks the right 'models'" in site.text("#live-state"))
    site.find("#key").clear()
    site.find("#key").send_keys(keys["all"] + Keys.ENTER)
    site.wait(lambda: site.text("#live-state") == "Live, once a second")
    stored = site.script("return [JSON.stringify(localStorage), document.cookie, sessionStorage.length]")
    assert stored == ["{}", "", 1]


def test_the_live_view_shows_load_a_swap_and_errors_and_survives_a_restart(page: Site) -> None:
    page.find("#tab-live").click()
    page.wait(lambda: page.text("#live-state") == "Live, once a second")
    page.wait(lambda: "genre 1.10" in page.text("#versions"))
    with httpx.Client(base_url=page.url, trust_env=False) as http:
        for _ in range(20):
            http.put("predictions/genre", content=poster())
        http.put("predictions/genre", content=b"no image")
    page.deploy(number="2.0", trial=Trial(kind="canary", version="3.0", share=0.05))
    page.wait(lambda: "genre 2.0 serves, replaces 1.10" in page.text("#marks"))
    assert "canary genre 3.0 at 5 %" in page.text("#marks")
    page.wait(lambda: page.text("#errors").split() == ["1", "UnsupportedFormatError"])
    page.wait(lambda: "canary 5 %" in page.text("#versions"))
    page.wait(lambda: "2/2" in page.text("#versions"))
    assert page.all(".chart .mark")
    page.stop()
    page.wait(lambda: "cannot be reached" in page.text("#live-state"))
    page.start()
    page.wait(lambda: page.text("#live-state") == "Live, once a second")


def test_tabs_and_pictures_are_used_by_keyboard(page: Site) -> None:
    page.find("#tab-try").send_keys(Keys.ARROW_RIGHT)
    assert page.chrome.switch_to.active_element.get_attribute("id") == "tab-live"
    page.find("#live")
    page.chrome.switch_to.active_element.send_keys(Keys.ARROW_LEFT)
    page.drop("one.jpg", poster())
    page.drop("two.jpg", poster())
    page.find(".picture[data-state=answered]", 2)
    page.all(".close")[0].send_keys(Keys.ENTER)
    # The focus stays in the list.
    label = page.chrome.switch_to.active_element.get_attribute("aria-label")
    assert label == "Take one.jpg away"


@pytest.mark.parametrize(
    ("look", "width", "height", "fragment"),
    [
        ("light", 1200, 1500, ""),
        ("phone", 390, 844, "#live"),
        pytest.param("dark", 1200, 1500, "", marks=pytest.mark.long),
        pytest.param("dark", 1200, 1500, "#live", marks=pytest.mark.long),
        pytest.param("light", 1200, 1500, "#live", marks=pytest.mark.long),
        pytest.param("phone", 390, 844, "", marks=pytest.mark.long),
    ],
)
def test_every_look_fits_and_has_no_serious_fault_of_access(
    site: Site, look: str, width: int, height: int, fragment: str, tmp_path: Path
) -> None:
    axe = pytest.importorskip("axe_core_python.selenium", reason="it is in requirements-dev.txt")
    for name in ("genre", "faces"):
        site.deploy(name)
    site.start()
    scheme = "dark" if look == "dark" else "light"
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    site.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": look == "phone"}
    site.chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        site.open(fragment)
        if fragment:
            show_traffic(site)
        else:
            show_answers(site)
        wide = site.script("return document.documentElement.scrollWidth")
        shot = tmp_path / f"{look}{fragment.replace('#', '-')}.png"
        size = site.script("return document.documentElement.scrollHeight")
        site.chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {**metrics, "height": size})
        site.chrome.save_screenshot(str(shot))
        assert wide <= width
        assert shot.stat().st_size > 10_000
        found = axe.Axe().run(site.chrome)
        serious = [each for each in found["violations"] if each["impact"] in ("serious", "critical")]
        assert serious == [], json.dumps(serious, indent=1)[:4000]
    finally:
        site.chrome.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        site.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def show_answers(site: Site) -> None:
    site.pick(*(POSTERS / name for name in ("horror.jpg", "western.jpg", "crime.webp")))
    site.find(".picture[data-state=answered]", 3)
    site.drop("photo.heic", HEIC)
    site.find(".picture[data-state=failed]")
    Select(site.find("#model")).select_by_visible_text("faces")
    site.drop("people.jpg", poster("drama.jpg"))
    site.find(".box")
    Select(site.find("#model")).select_by_visible_text("genre")


def show_traffic(site: Site) -> None:
    with httpx.Client(base_url=site.url, trust_env=False) as http:
        for number in range(40):
            http.put("predictions/genre", content=poster())
            if number % 10 == 0:
                http.put("predictions/genre", content=b"no image")
            sleep(0.05)
    site.deploy(number="2.0")
    site.wait(lambda: "genre 2.0" in site.text("#marks"))
    site.wait(lambda: "2/2" in site.text("#versions"))

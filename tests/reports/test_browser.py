"""The report in a real browser: Chromium, driven by Selenium; skipped where either is missing."""

from __future__ import annotations

import json
import shutil

import pytest
from many_runs import write_runs

from lgan.reports.collect import collect
from lgan.reports.report import render

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (BROWSER and DRIVER), reason="chromium and chromedriver are not there"),
]
FLAGS = ("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run",
         "disable-background-networking", "disable-component-update", "disable-sync",
         "window-size=1250,1000")  # fmt: skip


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("browser")
    write_runs(folder / "runs", methods=3, tasks=4)
    (folder / "report.html").write_text(render(collect(folder / "runs"), "Browsed"))
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in (*FLAGS, f"user-data-dir={folder / 'profile'}"):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    driver.get(f"file://{folder / 'report.html'}")
    yield driver
    driver.quit()


def find(page, selector: str) -> list:
    return page.find_elements("css selector", selector)


def press(element, *keys: str) -> None:
    """Press keys, as named by Selenium (`ARROW_LEFT`), with an element in focus."""
    from selenium.webdriver.common.keys import Keys

    element.send_keys(*(getattr(Keys, key) for key in keys))


def test_nothing_is_asked_of_any_network_and_no_script_fails(page) -> None:
    noted = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    asked = [each["params"]["request"]["url"] for each in noted
             if each["method"] == "Network.requestWillBeSent"
             and each["params"]["documentURL"].startswith("file:")]  # fmt: skip
    assert asked and {url.partition(":")[0] for url in asked} <= {"file", "data"}
    assert [url for url in asked if url.startswith("file:")] == [page.current_url]
    assert page.get_log("browser") == []
    assert page.title == "Browsed"


def test_a_columns_name_sorts_by_it_with_mouse_and_keyboard(page) -> None:
    def methods() -> list[str]:
        return [each.text for each in find(page, ".sortable tbody th")]

    assert methods() == ["method0", "method1", "method2"]
    head = find(page, ".sortable thead th")[2]
    assert "accuracy_generated" in head.text
    button = head.find_element("css selector", "button")
    button.click()
    assert head.get_attribute("aria-sort") == "descending" and methods()[0] == "method0"
    press(button, "ENTER")
    assert head.get_attribute("aria-sort") == "ascending"
    assert methods() == ["method2", "method1", "method0"]
    other = find(page, ".sortable thead th")[0]
    other.find_element("css selector", "button").click()
    assert methods() == ["method0", "method1", "method2"]
    assert head.get_attribute("aria-sort") is None


def test_a_method_is_put_away_and_brought_back(page) -> None:
    button = find(page, ".legend button")[1]
    lines = find(page, ".line[data-method='1']")
    pictures = find(page, ".strips figure.m1")
    assert lines[0].is_displayed() and pictures[0].is_displayed()
    press(button, "SPACE")
    assert button.get_attribute("aria-pressed") == "false"
    assert not lines[0].is_displayed() and not pictures[0].is_displayed()
    assert find(page, ".line[data-method='2']")[0].is_displayed()
    button.click()
    assert button.get_attribute("aria-pressed") == "true" and lines[0].is_displayed()


def test_the_slider_shows_pictures_after_earlier_tasks(page) -> None:
    slider, said = find(page, ".slider input")[0], find(page, ".slider output")[0]
    real, method = find(page, ".strips img")[:2]
    before = real.get_attribute("src"), method.get_attribute("src"), method.size["height"]
    assert said.text == "3" and before[2] == 4 * 40
    press(slider, "ARROW_LEFT", "ARROW_LEFT")
    assert said.text == "1" and slider.get_attribute("aria-valuetext") == "task 1"
    assert real.get_attribute("src") == before[0]
    assert method.get_attribute("src") != before[1] and method.size["height"] == 2 * 40
    natural = page.execute_script("return arguments[0].naturalHeight", method)
    assert natural == 2 * 8, "the picture was decoded"
    press(slider, "END")
    assert (method.get_attribute("src"), method.size["height"]) == before[1:]


def test_curves_tell_values_and_show_a_task_of_choice(page) -> None:
    curve = find(page, ".metric[open] .chart svg")[0]
    tip = find(page, ".metric[open] .tip")[0]
    press(curve, "ARROW_LEFT", "ARROW_LEFT", "ARROW_RIGHT")
    assert tip.text.splitlines()[:2] == ["after task 2", "method0 100.0 %"]
    line = find(page, ".metric[open] .line[data-method='2']")[0]
    before = line.get_attribute("points")
    select = find(page, ".metric[open] select")[0]
    select.find_element("css selector", "option[value='2']").click()
    assert len(line.get_attribute("points").split()) == 2, "from when it was learnt"
    select.find_element("css selector", "option[value='']").click()
    assert line.get_attribute("points") == before


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_told_from_its_ground_in_light_and_dark(page, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    colours = page.execute_script(
        "const style = getComputedStyle(document.body); return [style.color, style.backgroundColor]"
    )
    ink, ground = (sum(map(int, c.strip("rgba()").split(",")[:3])) / 3 for c in colours)
    assert abs(ink - ground) > 150 and (ground < ink) == (scheme == "dark")


def test_on_paper_the_details_are_open(page) -> None:
    page.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert all(each.get_attribute("open") for each in find(page, "details.method, details.metric"))
    page.execute_script("dispatchEvent(new Event('afterprint'))")
    assert not any(each.get_attribute("open") for each in find(page, "details.method"))


def test_on_paper_a_long_table_stays_folded(page) -> None:
    """A row for each of 62 tasks and method are thirty pages of parameters."""
    folded = find(page, "details.method details:has(table)")
    grow = """const body = arguments[0].querySelector("tbody");
        for (let i = 0; i < 31; i++) body.append(body.rows[0].cloneNode(true))"""
    page.execute_script(grow, folded[0])
    page.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert [bool(each.get_attribute("open")) for each in folded] == [False] + [True] * (
        len(folded) - 1
    )
    page.execute_script("dispatchEvent(new Event('afterprint'))")
    page.execute_script(
        "[...arguments[0].querySelectorAll('tbody tr')].slice(-31).forEach((row) => row.remove())",
        folded[0],
    )


def test_a_printed_column_of_pictures_stays_on_its_page(page) -> None:
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    set_names = "document.querySelector('.strips').style.setProperty('--names', arguments[0])"
    try:
        page.execute_script(set_names, 200)  # classes, of 4 of which there are pictures
        height = find(page, ".strips img")[0].rect["height"]
        assert height == pytest.approx(4 * 20 / 2.54 * 96 / 200, abs=1)
    finally:
        page.execute_script(set_names, 4)
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_on_paper_every_line_of_columns_has_the_names_of_its_rows(page) -> None:
    def places(selector: str) -> list[tuple[float, float]]:
        shown = [each.rect for each in find(page, selector) if each.is_displayed()]
        return [(each["x"], each["y"] + each["height"]) for each in shown]

    assert len(places(".strips .rows")) == 1, "on the screen columns stand in one line"
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    a4 = {"width": 718, "height": 1047, "deviceScaleFactor": 1, "mobile": False}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", a4)
    try:
        columns, names = places(".strips figure"), places(".strips .rows")
        lines = {bottom: min(x for x, other in columns if other == bottom) for _, bottom in columns}
        assert len(lines) == len(names) > 1
        for (bottom, left), (x, end) in zip(lines.items(), names, strict=True):
            assert x < left and end == pytest.approx(bottom, abs=1)
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})

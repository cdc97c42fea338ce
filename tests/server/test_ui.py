"""The web page as a person uses it, in a real browser, with the tiny model."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs a Chromium: apt install chromium")


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield opened
        opened.close()


@pytest.fixture
def page(browser):
    context = browser.new_context(viewport={"width": 1200, "height": 900}, accept_downloads=True)
    opened = context.new_page()
    problems = []
    opened.on("pageerror", lambda e: problems.append(str(e)))
    yield opened
    context.close()
    assert not problems


@pytest.fixture
def picture(page):
    """Keep a screenshot where LMMS_SCREENSHOTS names a folder."""

    def take(name):
        folder = os.environ.get("LMMS_SCREENSHOTS")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=f"{folder}/{name}.png")

    return take


def start(page, server, *, noise=None, task="mme"):
    page.goto(server.url + "/#/")
    page.reload()
    page.wait_for_selector("html[data-ready=form]")
    page.fill("#model", "tiny_vlm")
    page.wait_for_selector("[name=arg-noise]")
    if noise is not None:
        page.fill("[name=arg-noise]", str(noise))
    page.fill("#task-search", task)
    page.check(f"[name=task-{task}]")
    page.fill("[name=set-data]", "mini")
    page.wait_for_selector("#yaml:has-text('data: mini')")


def run(page):
    page.click("#start:enabled")
    page.wait_for_selector("#open", timeout=90_000)


def test_from_the_form_to_a_wrong_document_and_a_comparison(serve, page, picture):
    server = serve()
    start(page, server)
    assert "--lmms-tasks=mme" in page.inner_text("#command")
    picture("ui-form")
    run(page)
    assert "8 of 8 documents" in page.inner_text("#far")
    assert "8 passed" in page.inner_text("#log")
    picture("ui-job")

    start(page, server, noise=0.8)
    run(page)
    page.click("#open")
    page.wait_for_selector("text=mme_perception_score")
    page.click("tbody a")
    page.click("button:has-text('unparsed'), button:has-text('wrong')")
    page.click(".row >> nth=0")
    page.wait_for_selector("img.media")
    assert "target" in page.inner_text("main").lower()
    picture("viewer-document")

    page.goto(server.url + "/view/")
    page.wait_for_selector("tbody input")
    for i in range(2):
        page.locator("tbody input").nth(i).check()
    page.click("button:has-text('Compare two')")
    page.wait_for_selector("text=Two runs")
    assert "▼" in page.inner_text("main") or "▲" in page.inner_text("main")
    picture("viewer-compare")


def test_the_report_of_a_job_opens_from_the_disk(serve, page, picture):
    server = serve()
    settings = {"data": "mini", "fail_under": "mme_perception_score=100"}
    job_id = server.evaluate("tiny_vlm", ("mme", "mmmu_val"), {"noise": 0.2}, settings=settings)
    folder = Path(server.client.wait_for_job(job_id, poll_interval=0.2, timeout=120)["run_folder"])
    server.stop()
    page.goto((folder / "report.html").as_uri())
    page.wait_for_selector("html[data-ready]")
    assert page.inner_text(".badge.right") == "pass"
    assert "mmmu_acc" in page.inner_text("main")
    picture("report")


def test_a_config_file_is_exported_and_imported_again(serve, page, tmp_path):
    server = serve()
    start(page, server, noise=0.25)
    page.fill("[name=env-name-0]", "OPENAI_API_KEY")
    page.fill("[name=env-value-0]", "sk-canary")
    page.press("[name=env-value-0]", "Tab")
    page.wait_for_selector("#yaml:has-text('OPENAI_API_KEY')")
    before = page.inner_text("#yaml")
    assert "sk-canary" not in before + page.inner_text("#command")
    assert "${OPENAI_API_KEY}" in before
    with page.expect_download() as download:
        page.click("#export")
    path = tmp_path / "run.yaml"
    download.value.save_as(path)
    page.click("text=Clear")
    page.wait_for_selector("#problem:has-text('Choose a model')")
    page.set_input_files("#import", path)
    page.wait_for_selector("#yaml:has-text('noise: 0.25')")
    assert page.inner_text("#yaml") == before
    assert page.input_value("#model") == "tiny_vlm"


def tab_to(page, name):
    """Press Tab until the element of a name or id has the keyboard; how often."""
    for presses in range(1, 80):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.name || document.activeElement.id") == name:
            return presses
    raise AssertionError(f"Tab never leads to {name}")


def test_a_keyboard_is_enough_from_the_form_to_a_document(serve, page):
    server = serve()
    page.goto(server.url)
    page.wait_for_selector("html[data-ready=form]")
    tab_to(page, "model")
    page.keyboard.type("dummy")
    page.wait_for_selector("[name=arg-response]")
    tab_to(page, "task-search")
    page.keyboard.type("mme")
    tab_to(page, "task-mme")
    page.keyboard.press("Space")
    for name, text in (("set-data", "mini"), ("gen_kwargs-name-0", "max_new_tokens"), ("gen_kwargs-value-0", "8")):
        tab_to(page, name)
        page.keyboard.type(text)
    for name, text in (("gen_kwargs-name-1", "temperature"), ("gen_kwargs-value-1", "0")):
        assert tab_to(page, name) <= 2
        page.keyboard.type(text)
    tab_to(page, "start")
    page.wait_for_selector("#yaml:has-text('temperature: 0')")
    assert "max_new_tokens: 8" in page.inner_text("#yaml")
    page.keyboard.press("Enter")
    page.wait_for_selector("#open", timeout=90_000)
    tab_to(page, "open")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=mme_perception_score")
    page.locator("tbody a").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".row")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_selector(".pager")
    assert "mme[1]" in page.inner_text("h1")


def test_a_pair_is_removed_and_the_others_stay(serve, page):
    server = serve()
    start(page, server)
    for i, (name, value) in enumerate([("temperature", "0.5"), ("top_p", "0.9")]):
        page.fill(f"[name=gen_kwargs-name-{i}]", name)
        page.fill(f"[name=gen_kwargs-value-{i}]", value)
        page.press(f"[name=gen_kwargs-value-{i}]", "Tab")
    page.wait_for_selector("#yaml:has-text('top_p: 0.9')")
    page.click("[aria-label='remove temperature']")
    page.wait_for_selector("#yaml:not(:has-text('temperature'))")
    assert "top_p: 0.9" in page.inner_text("#yaml")
    assert page.evaluate("document.activeElement.value") == "top_p"


def test_what_is_wrong_is_said_while_one_types_and_cannot_be_started(serve, page):
    server = serve()
    start(page, server)
    page.fill("[name=limit]", "many")
    page.wait_for_selector("#problem:has-text('limit')")
    assert page.is_disabled("#start")
    page.fill("[name=limit]", "4")
    page.wait_for_selector("#start:enabled")


def test_nothing_can_be_exported_before_there_is_something(serve, page):
    server = serve()
    page.goto(server.url)
    page.wait_for_selector("html[data-ready=form]")
    assert page.locator("#export").is_disabled()
    start(page, server)
    assert page.locator("#export").is_enabled()
    assert page.locator("#of-data option").count() == 2  # what the field takes


def test_a_job_that_failed_says_why_on_its_page_and_the_list_fits_a_phone(serve, page):
    server = serve()
    page.set_viewport_size({"width": 390, "height": 800})
    job = server.client.evaluate("dummy", ["mme"], {"no_such_argument": 1}, settings={"data": "mini"})["job_id"]
    page.goto(f"{server.url}/#/job/{job}")
    page.wait_for_selector("#why", timeout=90_000)
    assert "no_such_argument" in page.inner_text("#why")
    page.goto(f"{server.url}/#/")
    page.goto(f"{server.url}/#/jobs")
    page.wait_for_selector("html[data-ready=jobs]")
    cells = page.locator(".cards td:visible")
    assert cells.count() >= 4
    assert all(box["x"] + box["width"] <= 390 for box in (cells.nth(i).bounding_box() for i in range(cells.count())))


def test_a_view_whose_answer_comes_late_does_not_replace_the_one_that_was_opened_since(serve, page):
    server = serve()
    held = []
    page.route("**/form/catalogue", lambda route: held.append(route))  # noqa: PLW0108  (it looks at the function)
    with page.expect_request("**/form/catalogue"):
        page.goto(f"{server.url}/#/")
    page.goto(f"{server.url}/#/jobs")
    page.wait_for_selector("html[data-ready=jobs]")
    held[0].continue_()
    page.wait_for_timeout(1_000)
    assert page.inner_text("h1") == "Jobs"


def test_a_run_that_goes_on_can_be_cancelled(serve, page, slow_arguments):
    server = serve()
    job_id = server.evaluate("async_openai", model_args=slow_arguments)
    page.goto(f"{server.url}/#/job/{job_id}")
    page.click("button:has-text('Cancel')")
    page.wait_for_selector("#status.cancelled", timeout=60_000)


def test_a_browser_is_let_in_with_the_token_alone(serve, page):
    server = serve(env={"LMMS_SERVER_TOKEN": "right"})
    page.goto(server.url)
    page.fill("#token", "wrong")
    page.click("text=Sign in")
    page.wait_for_selector("text=not the server's token")
    page.fill("#token", "right")
    page.click("text=Sign in")
    page.wait_for_selector("html[data-ready=form]")
    assert "right" not in page.evaluate("document.cookie")


def test_a_narrow_screen_needs_no_scrolling_sideways(serve, page):
    server = serve()
    page.set_viewport_size({"width": 390, "height": 800})
    start(page, server)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390

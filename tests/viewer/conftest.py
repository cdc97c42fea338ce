"""Runs of the tiny model, a made one of many records, and a real browser."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest
from waiting import evaluate

ROOT = Path(__file__).parents[2]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """A folder with a good and a bad run of one model, and what each is called."""
    folder = tmp_path_factory.mktemp("viewer") / "results"
    folder.mkdir()
    gate = "--lmms-fail-under=mme_perception_score=1"
    good = evaluate(folder, "--lmms-model=scripted", "--lmms-model-args=default=Yes", gate)
    bad = evaluate(folder, "--lmms-model=scripted", "--lmms-model-args=default=No", f"--lmms-baseline={good}")
    return folder, good, bad


WORDS = [
    "the",
    "model",
    "sees",
    "a",
    "red",
    "circle",
    "beside",
    "four",
    "small",
    "squares",
    "and",
    "answers",
    "certain",
]


@pytest.fixture(scope="session")
def make_run(runs, tmp_path_factory):
    """Call it with records, or their number: a run folder that holds them."""

    def make(rows):
        random_ = random.Random(0)
        _, good, _ = runs
        base = [json.loads(line) for line in (good / "samples_mme.jsonl").read_text().splitlines()]
        if isinstance(rows, int):
            texts = [[" ".join(random_.choices(WORDS, k=k)) for k in (35, 25)] for _ in range(rows)]
            rows = [{"input": asked, "filtered_resps": [answered]} for asked, answered in texts]
        folder = tmp_path_factory.mktemp("made")
        (folder / "results.json").write_text((good / "results.json").read_text())
        with (folder / "samples_mme.jsonl").open("w") as file:
            for i, row in enumerate(rows):
                file.write(json.dumps({**base[i % 8], "doc_id": i, **row}) + "\n")
        return folder

    return make


@pytest.fixture(scope="session")
def browser():
    if CHROMIUM is None:
        pytest.skip("needs a Chromium: apt install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield opened
        opened.close()


@pytest.fixture
def page(browser):
    """A page that fails the test where its script fails."""
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    opened = context.new_page()
    problems = []
    opened.on("pageerror", lambda e: problems.append(str(e)))
    opened.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
    yield opened
    context.close()
    assert not problems


@pytest.fixture
def show(page):
    """Call it with a file or an address, and what stands behind `#`."""

    def call(target, place=""):
        address = target if isinstance(target, str) else target.resolve().as_uri()
        page.goto("about:blank")
        page.goto(address + place)
        page.wait_for_selector("html[data-ready]", timeout=20_000)
        return page

    return call

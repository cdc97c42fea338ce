"""report.html, opened from the disk in a real browser."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from waiting import evaluate, wait

from pytest_lmms.errors import StoreError
from pytest_lmms.viewer import report
from pytest_lmms.viewer.report import write_report

DOC = "#/run/run/doc/" + quote("lmms/mme/mme.yaml::mme[{}]", safe="").replace("%7B%7D", "{}")
TASK = "#/run/run/task/mme"


def rows_of(page):
    return page.locator(".list .row").all_inner_texts()


def test_every_run_leaves_a_page_with_its_scores(runs, show):
    _, good, _ = runs
    page = show(good / "report.html")
    text = page.inner_text("main")
    assert "mme_perception_score" in text
    assert "8 scored" in text
    assert "scripted" in page.inner_text("h1")


def test_a_gate_that_holds_says_so(runs, show):
    _, good, _ = runs
    page = show(good / "report.html")
    assert page.inner_text(".badge.right") == "pass"
    assert "mme / mme_perception_score" in page.inner_text("main")


def test_a_run_with_a_baseline_shows_the_comparison_and_the_documents_that_changed(runs, show):
    _, _, bad = runs
    page = show(bad / "report.html")
    assert "beside" in page.inner_text("main")
    page.click("a.wrong >> nth=0")
    page.wait_for_selector(".list .row")
    assert rows_of(page)
    assert "▼" in rows_of(page)[0]


def test_a_document_has_its_picture_messages_answer_target_and_scores(runs, show):
    _, good, _ = runs
    page = show(good / "report.html", DOC.format(1))
    text = page.inner_text("main")
    assert "Is there an orange ring in this image?" in text
    assert "Yes" in text
    assert "mme_perception_score" in text
    assert page.evaluate("document.querySelector('img.media').naturalWidth") > 0


def test_a_link_to_a_document_leads_to_it_in_another_window(runs, show):
    _, good, _ = runs
    page = show(good / "report.html", TASK)
    page.click(".row >> nth=3")
    page.wait_for_selector(".pager")
    address = page.url
    again = show(address)
    assert "lmms/mme/mme.yaml::mme[3]" in again.inner_text("h1")


def test_filters_and_search_narrow_the_list_and_survive_the_way_back(runs, show):
    _, good, _ = runs
    page = show(good / "report.html", TASK)
    assert len(rows_of(page)) == 8
    page.get_by_role("button", name=re.compile("^wrong")).click()
    wait(page, "document.querySelectorAll('.list .row').length === 4")
    page.fill("#search", "ring")
    wait(page, "document.querySelectorAll('.list .row').length < 4")
    shown = rows_of(page)
    assert all("ring" in row.lower() for row in shown)
    assert page.locator("mark").count() >= len(shown)
    page.click(".row >> nth=0")
    page.wait_for_selector(".pager")
    page.keyboard.press("u")
    page.wait_for_selector(".list .row")
    assert rows_of(page) == shown


def test_keys_go_through_the_documents(runs, show):
    _, good, _ = runs
    page = show(good / "report.html", DOC.format(0))
    page.keyboard.press("j")
    wait(page, "location.hash.endsWith('mme%5B1%5D')")
    wait(page, "document.title.includes('mme[1]')")
    page.keyboard.press("k")
    wait(page, "location.hash.endsWith('mme%5B0%5D')")
    wait(page, "document.title.includes('mme[0]')")
    page.keyboard.press("?")
    assert page.locator("dialog[open]").count() == 1
    page.keyboard.press("Escape")
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.keyboard.press("t")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before


HOSTILE = "<script>window.harmed = 1</script><img src=x onerror='window.harmed = 1'>\x1b[31m</script><!--"


@pytest.mark.parametrize("field", ["input", "target", "filtered_resps", "error", "mme_perception_score"])
def test_markup_in_a_record_is_text(make_run, show, field):
    value = {"filtered_resps": [HOSTILE], "mme_perception_score": {"score": 0.0, "category": HOSTILE}}.get(
        field, HOSTILE
    )
    folder = make_run([{field: value}] * 3)
    path = write_report(folder)
    for place in (TASK, DOC.format(0)):
        page = show(path, place)
        assert page.evaluate("window.harmed") is None
    assert "<script>" in page.inner_text("main")
    assert "<script>window" not in path.read_text(encoding="utf-8")


def test_half_of_a_surrogate_pair_does_not_cost_the_page(make_run, show):
    path = write_report(make_run([{"filtered_resps": ["a smile cut in two: \ud83d"], "input": "größer"}]))
    assert "a smile cut in two" in show(path, DOC.format(0)).inner_text("main")


def test_text_that_is_read_from_the_right_is_shown_so(make_run, show):
    path = write_report(make_run([{"input": "ما هو لون الدائرة؟ (A) أحمر", "filtered_resps": ["حمراء 100% (A)"]}] * 2))
    page = show(path, TASK)
    assert page.evaluate("getComputedStyle(document.querySelector('.row span[dir]')).direction") == "rtl"
    page = show(path, DOC.format(0))
    first = """(() => { const text = document.querySelector('.columns section:last-child pre').firstChild;
      const place = (i) => { const range = document.createRange(); range.setStart(text, i); range.setEnd(text, i + 1);
        return range.getBoundingClientRect().left; };
      return place(0) > place(text.length - 2); })()"""
    assert page.evaluate(first)


def test_a_report_of_as_many_records_as_fit_says_nothing_of_more(make_run, show, monkeypatch):
    monkeypatch.setattr(report, "MAX_RECORDS", 8)
    assert "more records than fit" not in show(write_report(make_run(8))).inner_text("main")
    assert "more records than fit" in show(write_report(make_run(9))).inner_text("main")


def test_reasoning_is_folded_and_the_rest_is_shown(make_run, show):
    folder = make_run([{"resps": ["<think>first this, then that</think>Yes"], "filtered_resps": ["Yes"]}])
    page = show(write_report(folder), DOC.format(0))
    assert not page.locator("pre.think").is_visible()
    assert "Reasoning" in page.inner_text("main")


def test_steps_of_an_agent_are_shown_one_by_one(make_run, show):
    steps = [[{"input": "you have a hammer", "output": "<tool_call>hit</tool_call>", "info": {"state": {"nails": 1}}},
              {"input": "hit once", "output": "<submit>done</submit>", "info": {"success": True}}]]  # fmt: skip
    page = show(write_report(make_run([{"rounds": steps}])), DOC.format(0))
    assert page.locator(".steps > li").count() == 2
    assert "<submit>done</submit>" in page.inner_text(".steps")


def test_what_a_judge_said_stands_beside_the_scores(make_run, show):
    verdict = {"judge": "openai:gpt", "rubric": "mmvet@1", "verdict": {"score": 0.75}, "text": "It names the circle.",
               "input_tokens": 211}  # fmt: skip
    page = show(write_report(make_run([{"verdicts": [verdict]}])), DOC.format(0))
    card = page.locator(".card", has_text="judge openai:gpt").inner_text()
    assert "It names the circle." in card
    assert "mmvet@1" in card
    assert "211" in card


def figures(page):
    """Caption -> how many marks its picture has."""
    found = page.locator("figure")
    marks = "f => f.querySelectorAll('rect.bar, circle.dot').length"
    return {f.locator("figcaption").inner_text(): f.evaluate(marks) for f in found.all()}


def test_a_run_of_several_tasks_has_plots_of_scores_with_intervals_latency_and_tokens(tmp_path, show):
    (tmp_path / "results").mkdir()
    run = evaluate(tmp_path / "results", "--lmms-tasks=ai2d,chartqa", "--lmms-model=tiny_vlm")
    page = show(run / "report.html")
    found = figures(page)
    assert found["Score of each task with its 95% interval, as a share of its scale"] == 2
    assert page.locator("line.whisker").count() > 0
    assert found["Time to the first token and for each further one"] >= 3
    assert found["Output tokens of an answer against score, each task"] == 2


def test_a_task_has_plots_of_its_categories_and_of_what_its_documents_cost(make_run, show):
    counts = [{"token_counts": [{"input_tokens": 10, "output_tokens": 5 + i}]} for i in range(30)]
    found = figures(show(write_report(make_run(counts)), TASK))
    assert found["mme_perception_score by category"] > 1
    assert found["Output tokens against score, each document"] == 30
    assert found["Output tokens of a document"] > 1


def test_a_thousand_records_fit_into_300_kb(make_run):
    path = write_report(make_run(1000), picture_bytes=0)
    assert path.stat().st_size < 300_000


def test_ten_thousand_records_open_and_scroll(make_run, show):
    page = show(write_report(make_run(10_000)), TASK)
    assert "all 10,000" in page.inner_text(".controls")
    assert len(rows_of(page)) < 100
    page.evaluate("document.querySelector('.list').scrollTop = 1e9")
    wait(page, "[...document.querySelectorAll('.list .row')].some((r) => r.innerText.startsWith('9999'))")


def test_more_records_than_a_report_holds_are_told(make_run, show, monkeypatch):
    monkeypatch.setattr("pytest_lmms.viewer.report.MAX_RECORDS", 20)
    page = show(write_report(make_run(30)))
    assert "pytest-lmms view" in page.inner_text("main")


def test_a_narrow_screen_needs_no_scrolling_sideways(runs, show, page):
    _, good, _ = runs
    page.set_viewport_size({"width": 390, "height": 800})
    for place in ("", TASK, DOC.format(0)):
        show(good / "report.html", place)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_on_a_narrow_screen_a_table_is_a_list_that_names_its_columns(runs, show, page):
    _, _, bad = runs  # beside its baseline: both tables
    page.set_viewport_size({"width": 390, "height": 800})
    show(bad / "report.html")
    cells = page.locator(".cards td:visible")
    assert cells.count() > 10
    boxes = [cells.nth(i).bounding_box() for i in range(cells.count())]
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= 390 for box in boxes)
    labels = page.evaluate("[...document.querySelectorAll('.cards td[data-label]')].map(c => c.dataset.label)")
    assert {"Task", "Metric", "Value", "Documents", "Difference", "Changed"} <= set(labels)


def test_columns_of_the_list_have_headings_above_them(runs, show, page):
    _, good, _ = runs
    for width in (1440, 390):
        page.set_viewport_size({"width": width, "height": 800})
        show(good / "report.html", TASK)
        for place in (3, 4):  # asked, answered
            heading = page.locator(f".headings > :nth-child({place})").bounding_box()
            cell = page.locator(f".row >> nth=0 >> :scope > :nth-child({place})").bounding_box()
            assert heading["x"] == pytest.approx(cell["x"], abs=1)


def test_scores_with_parts_can_be_read_on_a_narrow_screen(make_run, show, page):
    score = {"question_identifier": "001-1", "a_rather_long_category": "Attribute Perception", "score": 1.0}
    folder = make_run([{"mme_perception_score": score}])
    page.set_viewport_size({"width": 390, "height": 800})
    show(write_report(folder), DOC.format(0))
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    value = page.locator("dd", has_text="Attribute Perception").last.bounding_box()
    assert value["width"] > 60
    assert value["height"] < 80  # not a letter a line


def test_a_plot_of_one_value_is_left_out(make_run, show):
    lengths = {"token_counts": [{"output_tokens": 5}]}
    page = show(write_report(make_run([lengths] * 8)), TASK)
    assert "Output tokens" not in page.inner_text("main")


def test_an_address_that_leads_nowhere_says_so(runs, show):
    _, good, _ = runs
    assert "There is no document" in show(good / "report.html", "#/run/run/doc/nowhere").inner_text("main")


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(StoreError, match="no run here"):
        write_report(tmp_path)

"""Task files' expressions on models' texts: `re`'s results wherever they are matched, and an end to what has none."""

from __future__ import annotations

import re
import signal
import threading

import pytest
import yaml

from pytest_lmms.errors import DocumentError
from pytest_lmms.regexes import patterns
from pytest_lmms.regexes.backtracking import LONGEST, safe_length
from tests.scoring.test_regular_expressions import ROOT, attacks, cpu_limit  # noqa: F401

HOSTILE = {r"(a+)+$": "a" * 40 + "!", r"\s+x": " " * 1_000_000, r"(a|a)*$": "a" * 40 + "!"}
ORDINARY = [
    "", "A", "The answer is (B).", "#### -1,234.5\n#### 7", "x" * 50, "answer is 12 The answer is $3.50.",
    "\ud800 é 答案 3",
    "(A) (B)\n(C)", 'a "quoted" line\u2028\\n', "<answer>1</answer><answer>2",
]  # fmt: skip


def written():
    """Every expression of the shipped tasks, and a few forms beside: no group, several, flags, marks."""
    found = {r"\d", r"(?i)(a)(n)?", r"(?P<q>['\"]).*?(?P=q)", r"(?=(an))", r"^(.)", r"\b(?:x|y)+\b"}
    for path in (ROOT / "benchmarks").rglob("*.yaml"):
        for line in path.read_text(encoding="utf-8").splitlines():
            if "regex_pattern:" in line:
                found.add(yaml.safe_load(line.strip().removeprefix("- "))["regex_pattern"])
    return sorted(found)


@pytest.fixture
def short(monkeypatch):
    """A process with a tenth of a second for each text."""
    monkeypatch.setattr(patterns, "SECONDS", 0.1)
    process = patterns._Process()
    monkeypatch.setattr(patterns, "_process", lambda _: process)
    yield process
    process.close()


@pytest.mark.parametrize("pattern", written())
def test_a_process_finds_what_re_finds(pattern, monkeypatch):
    regex = re.compile(pattern)
    monkeypatch.setattr(patterns, "safe_length", lambda *_: -1)
    for text in ORDINARY:
        assert patterns.findall(regex, text) == regex.findall(text)
        assert patterns.remove(regex, text) == regex.sub("", text)
        assert patterns.replace(regex, r"<\g<0>>", text, 2) == regex.sub(r"<\g<0>>", text, count=2)


@pytest.mark.parametrize("pattern", HOSTILE)
def test_what_backtracks_is_an_error_that_names_the_expression(pattern, short):
    for ask in (patterns.findall, patterns.remove):
        with pytest.raises(DocumentError) as caught:
            ask(re.compile(pattern), HOSTILE[pattern])
        assert repr(pattern) in str(caught.value)
        assert f"more than 0.1 s on a text of {len(HOSTILE[pattern]):,} characters" in str(caught.value)


def test_the_next_text_is_matched_by_another_process(short):
    regex = re.compile(r"(a+)+$")
    assert patterns.findall(regex, "b" * 40 + "aa") == ["aa"]
    with pytest.raises(DocumentError):
        patterns.findall(regex, "a" * 40 + "!")
    assert patterns.findall(regex, "b" * 40 + "aa") == ["aa"]


def test_a_process_that_somebody_killed_is_no_expression_that_backtracks(short):
    regex = re.compile(r"(a+)+$")
    patterns.findall(regex, "b" * 40)
    short._child.send_signal(signal.SIGKILL)
    short._child.wait()
    with pytest.raises(DocumentError, match=r"exit code -9"):
        patterns.findall(regex, "b" * 40)


def test_threads_get_their_own_answers():
    regex = re.compile(r"((?:\d+,?)+)")
    results = {}
    threads = [
        threading.Thread(target=lambda i=i: results.update({i: patterns.findall(regex, f"{i} " * 50)}))
        for i in range(32)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {i: [str(i)] * 50 for i in range(32)}


@pytest.mark.parametrize(
    ("pattern", "length"),
    [
        (r"answer", LONGEST),
        (r"\d+", 10_000),
        (r"\d{1,3}", LONGEST),
        (r"\d+,\d+", 464),
        (r"(\d+,)+", 464),
        (r"(a+)+$", 8),
        (r"(a|b|cd)*", 20),
        ("a?" * 30, 0),
    ],
)
def test_the_safe_length_follows_the_form(pattern, length):
    assert safe_length(pattern) <= length
    assert pattern in ("answer", r"\d{1,3}") or safe_length(pattern) < LONGEST


@pytest.mark.parametrize("pattern", [*written(), *HOSTILE, r"<answer>(.*?)</answer>", r"\d+(,\d+)*\.", r"(a+)(b+)?\1x"])
def test_what_is_safe_ends_soon(pattern, cpu_limit):  # noqa: F811
    regex = re.compile(pattern)
    length = min(safe_length(pattern, regex.flags), 20_000)
    for text in attacks(pattern, 0, length + 20) if length > 50 else ():
        cpu_limit(5)
        regex.findall(text[:length])
        cpu_limit(0)

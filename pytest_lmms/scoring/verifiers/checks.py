"""Verifiers: metrics that decide whether an answer is right by doing something with it.

Each has the signature of any metric. Texts that are arguments are filled in from the document like `doc_to_text`:
a column's name, or a jinja2 template.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pytest_lmms.errors import TaskError, explain
from pytest_lmms.scoring.arguments import complaint
from pytest_lmms.scoring.maths import math_equal
from pytest_lmms.tasks.fields import text_field

PYTHON = ("python", "py", "python3")


@functools.lru_cache(maxsize=256)
def _field(text: str) -> Callable[[Mapping[str, Any]], Any]:
    return text_field(text, "metric_list")


def _filled(text: str, document: Mapping[str, Any]) -> str:
    return str(_field(text)(document)) if text else ""


def code_of(answer: str) -> str:
    """Return the program in an answer: its fenced blocks of Python, joined; else its first fenced block; else all."""
    lines = answer.splitlines()
    fences = [n for n, line in enumerate(lines) if line.lstrip().startswith("```")]
    blocks = [
        (lines[start].strip().strip("`").strip().lower(), lines[start + 1 : end])
        for start, end in zip(fences[::2], [*fences[1::2], len(lines)], strict=False)
    ]
    found = [block for language, block in blocks if language in PYTHON] or [block for _, block in blocks[:1]]
    return "\n".join(line for block in found for line in block) if found else answer


def code_passes(
    *,
    predictions: Sequence[Any],
    document: Mapping[str, Any],
    references: Sequence[Any] = (),
    tests: str = "",
    before: str = "",
    stdin: str = "",
    stdout: str | None = None,
    seconds: float = 10,
    memory_mb: float = 1024,
    confined: bool = True,
) -> dict[str, Any]:
    """Run the Python program in an answer, and say whether it does what it should.

    Args:
        predictions: The answer, first of all.
        document: The dataset row; `tests`, `before`, `stdin` and `stdout` are filled in from it.
        references: Of no use here.
        tests: Python that is run after the program, and must come to its end: assertions.
        before: Python that is run before it, such as imports or the function that it completes.
        stdin: What the program can read.
        stdout: What it must print, but for white space at the ends of lines and of all; None: anything.
        seconds: Of processor time; it may last three times as long.
        memory_mb: Of address space.
        confined: False runs it also where this system cannot keep it from network, processes and files.

    Returns:
        `score`, 1.0 or 0.0, and `detail`: what stopped the program, or how its output differs.

    Raises:
        UsageError: The program cannot be confined here.
    """
    program = code_of(str(predictions[0])) if predictions else ""
    if not program.strip():
        return {"score": 0.0, "detail": "no program"}
    source = "\n".join(part for part in (_filled(before, document), program, _filled(tests, document)) if part)
    score, detail = _verdict(
        source, _filled(stdin, document), None if stdout is None else _filled(stdout, document),
        has_tests=bool(tests), seconds=seconds, memory_mb=memory_mb, confined=confined,
    )  # fmt: skip
    return {"score": score, "detail": detail}


@functools.lru_cache(maxsize=64)
def _verdict(
    source: str, stdin: str, stdout: str | None, *, has_tests: bool, seconds: float, memory_mb: float, confined: bool
) -> tuple[float, str]:
    """Score and detail of a program; the same one, which repeats of a document often give, is run once."""
    from pytest_lmms.scoring.verifiers.confined import run_python

    ran = run_python(source, stdin=stdin, seconds=seconds, memory_mb=memory_mb, confined=confined)
    if not (ran.ended or (not has_tests and ran.exit_code == 0)):
        return 0.0, ran.detail
    if stdout is None:
        return 1.0, ""
    expected, printed = _lines(stdout), _lines(ran.output)
    return float(expected == printed), _difference(expected, printed)


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().splitlines()]


def _difference(expected: Sequence[str], printed: Sequence[str]) -> str:
    for number, (wanted, found) in enumerate(zip(expected, printed, strict=False), 1):
        if wanted != found:
            return f"line {number}: {found[:100]!r}, expected {wanted[:100]!r}"
    same = len(expected) == len(printed)
    return "" if same else f"{len(printed)} lines, expected {len(expected)}"


def math_equals(
    *, references: Sequence[Any], predictions: Sequence[Any], only_latex: bool = False, strict: bool = True
) -> float:
    """Return 1.0 where the answer has the mathematical value of the target, else 0.0; see `scoring.maths`."""
    gold, answer = str(references[0]), str(predictions[0]) if predictions else ""
    return float(math_equal(gold, answer, only_latex=only_latex, strict=strict))


def format_matches(
    *,
    predictions: Sequence[Any],
    references: Sequence[Any] = (),
    pattern: str | None = None,
    json_schema: Mapping[str, Any] | None = None,
) -> float:
    r"""Return 1.0 where the answer has the wanted form, else 0.0.

    Args:
        predictions: The answer, first of all.
        references: Of no use here.
        pattern: A regular expression that all of it must match; ``.`` matches line ends too. It is the task's, and
            trusted: one that backtracks makes scoring slow.
        json_schema: The answer must be a JSON object with these `required` keys and `properties`; a fence around it
            is left out.

    Raises:
        TaskError: Neither or an expression that is none.
    """
    if pattern is None and json_schema is None:
        raise TaskError(explain("format_matches is told no form", expected="pattern or json_schema, or both"))
    answer = str(predictions[0]) if predictions else ""
    try:
        fits = pattern is None or re.fullmatch(pattern, answer, re.DOTALL) is not None
    except re.error as e:
        raise TaskError(explain(f"format_matches: {pattern!r} is no regular expression: {e}")) from e
    return float(fits and (json_schema is None or _fits(answer, json_schema)))


def _fits(answer: str, schema: Mapping[str, Any]) -> bool:
    fenced = re.match(r"\s*```(?:json)?\n(.*)\n```\s*\Z", answer, re.DOTALL)
    try:
        return complaint(json.loads(fenced[1] if fenced else answer), schema) is None
    except (ValueError, RecursionError):
        return False

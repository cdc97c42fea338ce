"""Responses that nobody recorded: what a document's answer may look like in a model's words, drawn by a seed."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

LETTERS = "ABCDEFGHIJ"
WRAPPINGS = (
    "{}", " {}\n", "{}.", "({})", "**{}**", "`{}`", '"{}"', "[{}]", "Answer: {}", "answer is {}", "Answer: ({})",
    "The answer is {}.", "The answer is: {}", "The correct option is ({}).", "Final Answer: {}", "**Answer:** {}",
    "<answer>{}</answer>", "<answer> {} </answer> done", "<think>Is it (B) or 7?</think>{}", "<think>no end {}",
    "<think></think>\n<answer>{}</answer>", "<analysis>a</analysis> {}", "\\boxed{{{}}}", "$\\boxed{{{}}}$",
    "so \\boxed{{1}} no, \\boxed{{{}}}", "\\text{{{}}}", "$${}$$", "\\( {} \\)", "It is {} because of (C).",
    "Not A, but {}", "{} or B", "{}, B", "{}\n\nExplanation: A is wrong.", "Looking closely.\n\n{}", "I think {}",
    '```json\n{{"answer": "{}"}}\n```', '{{"answer": "{}"}}', "Exact Answer: {}\nConfidence: 90%", "答案是{}",
    "答案\uff1a{}。", "Ответ: {}", "الجواب {}", "#### {}", "{} units", "about {}", "{}%", "${}", "{} cm", "-{}", "{}0",
    "Option {}", "option {}:", "choice {}) it", "{} {}", "{}{}", "x = {}", "= {}", "Therefore, {} is the answer",
)  # fmt: skip
PLAIN = (
    "", " ", "\n\n", "A", "b", "(C)", "D.", "E", "AB", "A, C", "A and B", "None of the above", "Unanswerable",
    "Not answerable", "yes", "No", "Yes, it is.", "no, yes", "true", "False", "I cannot determine this.", "0", "1",
    "-1", "3.5", "1,234", "1.234e3", "\\frac{1}{2}", "1/2", "0.5", "50%", "two", "Twelve", "½", "٣", "三", "nan",
    "inf", "1e999", "2015-03-04", "March 4, 2015", "[]", "[0.1, 0.2, 0.7, 0.9]", "(0.5, 0.5)", "[[1, 2], [3, 4]]",
    "x=0.5, y=0.25", '<point x="10" y="20">it</point>', "(12, 8)", "[10, 20, 300, 400]", "{}", '{"a": 1}',
    "null", "\\boxed{}", "\\boxed{A", "<answer></answer>", "<answer>A", "</think>B", "00:12", "1:02:03", "😀", "\u200b",
    "\uff41", "\uff21", "İ", "ß", "A" * 300, "word " * 80, "the the the", "\\sqrt{2}", "x^2+1",
    "\\pi", "10^3", "3 \\times 4",
)  # fmt: skip


def responses(
    doc: Mapping[str, Any], target: Any, recorded: Sequence[str], rng: random.Random, count: int
) -> list[str]:
    """Draw `count` responses to one document: its gold answer and texts, changed and wrapped, and recorded ones."""
    seeds = [*_texts(target), *_texts(doc)] or ["A"]
    gold = _texts(target) or seeds
    found: list[str] = []
    while len(found) < count:
        kind = rng.random()
        if kind < 0.15:
            found.append(rng.choice(PLAIN))
            continue
        base = rng.choice(gold if kind < 0.5 else rng.choice([seeds, list(LETTERS[:5]), list(recorded) or seeds]))
        text = _changed(base[:400], rng) if rng.random() < 0.5 else base[:400]
        if rng.random() < 0.7:
            text = rng.choice(WRAPPINGS).replace("{}", "\0").replace("{{", "{").replace("}}", "}").replace("\0", text)
        found.append(_changed(text, rng) if rng.random() < 0.15 else text)
    return found


def _texts(value: Any) -> list[str]:
    """All short texts and numbers inside a value."""
    if isinstance(value, Mapping):
        return [t for v in value.values() for t in _texts(v)]
    if isinstance(value, (list, tuple)):
        whole = [json.dumps(value)] if value and all(isinstance(v, (int, float)) for v in value) else []
        return whole + [t for v in value for t in _texts(v)]
    if isinstance(value, (str, int, float)):
        text = str(value)
        return [text] if 0 < len(text) <= 400 else []
    return []


def _changed(text: str, rng: random.Random) -> str:
    """One small change of a text."""
    changes: list[Callable[[str], str]] = [
        str.lower, str.upper, str.title, str.strip, lambda t: t[:-1], lambda t: t[1:], lambda t: t + ".",
        lambda t: t.replace(" ", "  "), lambda t: t.replace(" ", ""), lambda t: re.sub(r"[aeiou]", "", t, count=1),
        lambda t: re.sub(r"\d+", lambda m: str(int(m[0]) + 1), t, count=1),
        lambda t: re.sub(r"(\d+)", r"\1.0", t, count=1),
        lambda t: re.sub(r"(\d+)", r"\1%", t, count=1), lambda t: re.sub(r"(\d)(\d{3})\b", r"\1,\2", t),
        lambda t: re.sub(r"(\d+)", r"0.\1", t, count=1), lambda t: "the " + t, lambda t: t + " " + t,
        lambda t: t + "\n" + rng.choice(LETTERS), lambda t: rng.choice(LETTERS) + " " + t,
        lambda t: t + " " + rng.choice(PLAIN),
        lambda t: " ".join(t.split()[::-1]), lambda t: " ".join(t.split()[: max(1, len(t.split()) // 2)]),
    ]  # fmt: skip
    return rng.choice(changes)(text)

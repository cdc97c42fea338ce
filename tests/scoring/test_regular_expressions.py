"""Every regular expression that reads what a model wrote takes time linear in its length, attacked by its own parts.

An expression is taken from the source with the methods that it is used by. For each repetition in it a text is made
that leads there, repeats what the repetition takes, and ends with what nothing takes; a backtracking expression needs
hours for it. Expressions that only ever see short texts are listed with the reason.
"""

from __future__ import annotations

import ast
import functools
import importlib
import re
import signal
from pathlib import Path

import pytest

from pytest_lmms.catalog import import_file

try:
    from re import _constants as constants
    from re import _parser as parser
except ImportError:  # Python 3.10
    import sre_constants as constants
    import sre_parse as parser

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "pytest_lmms"
FILES = sorted(
    [
        *(PACKAGE / "scoring").rglob("*.py"),
        *(ROOT / "benchmarks").rglob("*.py"),
        *(PACKAGE / name for name in ("masks.py", "printable.py", "plugin/alike.py")),
    ]
)
METHODS = {"search", "match", "fullmatch", "findall", "finditer", "sub", "subn", "split"}
CHARACTERS = 100_000
CPU_SECONDS = 1.5
"""A linear expression needs hundredths of that."""
SHORT = {
    r"\b(\d+(?:\.\d+)?)\s*\.?\s*$": (500, "the end of a line is cut before"),
    r"[\w./:-]*\[\d+\]": (1_000, "the first line of a message is cut before"),
    r"<\|.*?\|>": (1_000, "each opening mark has a closing one behind it in its line"),
    "https?://": (1_000, "reads the gold answer only"),
    r"\d{4,}\s*!": (4_096, "longer texts are cut before"),
}
"""How an expression begins -> (the most characters that it sees, why)."""


def constant(node):
    """A pattern that is written as one text, or as texts that are added."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = constant(node.left), constant(node.right)
        return None if left is None or right is None else left + right
    return None


def flags_of(call):
    text = "|".join(ast.unparse(a) for a in (*call.args[1:], *(k.value for k in call.keywords)))
    return int(functools.reduce(lambda a, b: a | getattr(re, b), re.findall(r"re\.([A-Z]+)\b", text), 0))


def module_of(path):
    if path.is_relative_to(PACKAGE):
        return importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    return import_file(path)


@functools.cache
def expressions():
    """(pattern, flags) -> (methods, place): written in a call, or compiled in a module's names."""
    found, used, named = {}, {}, []
    for path in FILES:
        place = path.relative_to(ROOT).as_posix()
        calls = [n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.Call)]
        for call in calls:
            if not isinstance(call.func, ast.Attribute) or not isinstance(call.func.value, ast.Name):
                continue
            owner, name = call.func.value.id, call.func.attr
            if name not in METHODS:
                continue
            if owner != "re":
                used.setdefault(owner, set()).add(name)
            elif call.args and (pattern := constant(call.args[0])) is not None:
                found.setdefault((pattern, flags_of(call)), (set(), f"{place}:{call.lineno}"))[0].add(name)
        named += [(n, v, place) for n, v in vars(module_of(path)).items() if isinstance(v, re.Pattern)]
    for name, value, place in named:
        key = value.pattern, value.flags & ~re.UNICODE
        found.setdefault(key, (set(), f"{place}:{name}"))[0].update(used.get(name) or {"search"})
    return found


def sample(tree, longest=2):
    """A short text that the parsed expression takes, or nearly."""
    return "".join(sample_item(op, value, longest) for op, value in tree)


def sample_item(op, value, longest):
    if op is constants.LITERAL:
        return chr(value)
    if op is constants.NOT_LITERAL:
        return "z" if value != ord("z") else "y"
    if op is constants.ANY:
        return "z"
    if op is constants.IN:
        return sample_set(value)
    if op is constants.BRANCH:
        return sample(value[1][0], longest)
    if op is constants.SUBPATTERN:
        return sample(value[-1], longest)
    if op in (constants.MAX_REPEAT, constants.MIN_REPEAT):
        low, high, body = value
        return sample(body, longest) * max(low, min(int(high), 1))
    if op is constants.ASSERT:
        return sample(value[1], longest)
    return ""


CATEGORIES = {
    constants.CATEGORY_DIGIT: "1", constants.CATEGORY_SPACE: " ", constants.CATEGORY_WORD: "a",
    constants.CATEGORY_NOT_DIGIT: "z", constants.CATEGORY_NOT_SPACE: "z", constants.CATEGORY_NOT_WORD: " ",
}  # fmt: skip


def sample_set(items):
    if items[0][0] is constants.NEGATE:
        inside = {sample_set([item]) for item in items[1:]}
        return next(c for c in "zy 1\"'(<{[" if c not in inside)
    op, value = items[0]
    if op is constants.LITERAL:
        return chr(value)
    if op is constants.RANGE:
        return chr(value[0])
    return CATEGORIES.get(value, "z")


def attacks(pattern, flags, characters):
    """Texts that lead to each repetition, repeat what it takes, and fail at the end."""
    tree = parser.parse(pattern, flags)
    pumps = set()

    def visit(items, before):
        for op, value in items:
            if op in (constants.MAX_REPEAT, constants.MIN_REPEAT):
                body = sample(value[2]) or "z"
                for pump in (body, before[-20:] + body, body + " ", " "):
                    pumps.add((before, pump))
                    pumps.add(("", pump))
                visit(value[2], before)
            elif op is constants.BRANCH:
                for branch in value[1]:
                    visit(branch, before)
            elif op is constants.SUBPATTERN:
                visit(value[-1], before)
            before += sample_item(op, value, 2)
        pumps.add(("", before or "z"))

    visit(list(tree), "")
    for before, pump in sorted(pumps):
        yield before + pump * (characters // len(pump)) + "\x00!"


@pytest.fixture
def cpu_limit():
    """Raises in an expression that is still matching."""

    def ring(*_):
        raise TimeoutError

    previous = signal.signal(signal.SIGPROF, ring)
    yield lambda seconds: signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.signal(signal.SIGPROF, previous)


def is_slow(pattern, flags, methods, limit, characters=CHARACTERS):
    compiled = re.compile(pattern, flags)
    for text in attacks(pattern, flags, characters):
        for method in methods:
            limit(CPU_SECONDS)
            try:
                if method in ("sub", "subn"):
                    compiled.sub("", text)
                elif method == "finditer":
                    for _ in compiled.finditer(text):
                        pass
                else:
                    getattr(compiled, method)(text)
            except TimeoutError:
                return f"{method} on {text[:40]!r}..."
            finally:
                limit(0)
    return None


@pytest.mark.parametrize(
    ("pattern", "flags"), [pytest.param(*key, id=found[1]) for key, found in sorted(expressions().items())]
)
def test_an_expression_is_linear(pattern, flags, cpu_limit):
    methods, place = expressions()[pattern, flags]
    characters = next((most for start, (most, _) in SHORT.items() if pattern.startswith(start)), CHARACTERS)
    slow = is_slow(pattern, flags, methods, cpu_limit, characters)
    assert not slow, f"{place}: {pattern!r}: {slow}"


def test_every_exemption_is_an_expression_that_is_used():
    assert all(any(pattern.startswith(start) for pattern, _ in expressions()) for start in SHORT)


@pytest.mark.parametrize("pattern", [r"<answer>(.*?)</answer>", r"(a+)+$", r"\s+$", r"\d+(,\d+)*\."])
def test_the_attack_finds_what_backtracks(pattern, cpu_limit):
    assert is_slow(pattern, re.DOTALL, {"search"}, cpu_limit)

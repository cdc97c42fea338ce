"""Rows for a task whose dataset is not here: which columns its functions read, and values that they can work with.

Columns come from the task's source and from what it complains about; kinds of values are guessed by the column's name,
and changed one at a time as long as the task's functions raise. Knows nothing of us or of lmms-eval: `attempt` is
whatever runs the task's functions on rows.
"""

from __future__ import annotations

import ast
import json
import random
import re
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import PIL.Image

NUM_ROWS = 5
ALTERNATIVES = ("text", "letter", "texts", "integer", "image", "images", "number_text", "python_texts", "json_mapping",
                "boolean", "float", "floats", "turns", "audio", "letters", "integers", "mapping", "text_and_label",
                "nothing")  # fmt: skip
_WORDS = ("red kite", "blue cup", "seven", "a small dog", "left of the box", "Paris", "42", "the second one")
_HINTS: tuple[tuple[str, str], ...] = (
    (r"^(images|image_list|imgs|frames|decoded_images)$", "images"),
    (r"^(image|img|picture|decoded_image|.*_image|image_\d+|screenshot|page)$", "image"),
    (r"^(audio|.*_audio|context_audio)$", "audio"),
    (r"(options|choices|candidates|multi_choice)$", "texts"),
    (r"^(answers|references|captions|caption|all_answers|gt_answers)$", "texts"),
    (r"^(answer|label|gt|gt_answer|correct_choice|ground_truth|target|correct_answer|answer_letter)$", "letter"),
    (r"(_id|^id|^index|^idx|^qid|number|count|width|height|_idx)$", "number_text"),
    (r"(video|video_path|video_name|media_path)$", "video_name"),
    (r"(duration|start|end|fps|time)", "float"),
)


def first_guess(name: str) -> str:
    """The kind of value that a column of this name mostly holds."""
    return next((kind for pattern, kind in _HINTS if re.search(pattern, name, re.IGNORECASE)), "text")


def make_value(kind: str, name: str, rng: random.Random) -> Any:
    """A value of one kind.

    Returns:
        Builtins, a PIL RGB image of 24 x 16 pixels, or for `audio` ``{"array": 1600 floats, "sampling_rate": 16000}``.
    """
    word = rng.choice(_WORDS)
    options = rng.sample(_WORDS, 4)
    if kind.startswith("="):
        return kind[1:]
    if kind.startswith("json:"):
        return json.loads(kind.removeprefix("json:"))
    makers: Mapping[str, Callable[[], Any]] = {
        "text": lambda: f"{word} {name}",
        "letter": lambda: rng.choice("ABCD"),
        "letters": lambda: rng.sample("ABCD", 2),
        "texts": lambda: options,
        "python_texts": lambda: repr(options),
        "json_mapping": lambda: '{"A": "red", "B": "blue"}',
        "mapping": lambda: {"A": options[0], "B": options[1], "text": word},
        "text_and_label": lambda: {"text": options, "label": list("ABCD")},
        "integer": lambda: rng.randrange(4),
        "integers": lambda: [rng.randrange(4) for _ in range(4)],
        "number_text": lambda: str(rng.randrange(1, 90)),
        "float": lambda: round(rng.uniform(0.1, 0.9), 3),
        "floats": lambda: sorted(round(rng.uniform(0.1, 0.9), 3) for _ in range(4)),
        "boolean": lambda: rng.random() < 0.5,
        "nothing": lambda: None,
        "video_name": lambda: f"clip_{rng.randrange(3)}.mp4",
        "turns": lambda: [{"role": "user", "content": word, "from": "human", "value": word}],
        "image": lambda: _image(rng),
        "images": lambda: [_image(rng), _image(rng)],
        "audio": lambda: {"array": [round(rng.uniform(-1, 1), 4) for _ in range(1600)], "sampling_rate": 16000},
    }
    return makers[kind]()


def _image(rng: random.Random) -> PIL.Image.Image:
    pixels = np.random.default_rng(rng.randrange(2**31)).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    return PIL.Image.fromarray(pixels)


def make_rows(kinds: Mapping[str, str], seed: str, count: int = NUM_ROWS) -> list[dict[str, Any]]:
    """Rows with the columns of `kinds`; the same for the same seed."""
    return [
        {n: make_value(k, n, random.Random(f"{seed}/{number}/{n}")) for n, k in kinds.items()}
        for number in range(count)
    ]


def columns_in(sources: Iterable[str]) -> list[str]:
    """Columns that source code reads from something called `doc`, and that templates name."""
    names: dict[str, None] = {}
    for source in sources:
        for match in re.finditer(r"""\bdoc(?:\.get\(|\[)\s*["'](\w[\w ]*)["']""", source):
            names[match[1]] = None
        for match in re.finditer(r"\{\{\s*(\w+)", source):
            names[match[1]] = None
    return list(names)


def missing_column(error: BaseException) -> str | None:
    """The column that an error says is not there."""
    if isinstance(error, KeyError) and error.args and isinstance(error.args[0], str):
        name = re.sub(r"^Column (\w+) not in.*", r"\1", error.args[0])
        return name if re.fullmatch(r"\w[\w -]{0,40}", name) else None
    match = re.match(r"'(\w+)' is undefined|Column '?(\w+)'? ", str(error))
    return match and (match[1] or match[2])


_LOOK_UPS = (KeyError, ValueError, IndexError, UnboundLocalError, SystemExit, AssertionError)
"""What a value that a task does not know ends in."""


class Unsuitable(Exception):
    """No made-up rows let a task's functions run; the text says what they raised."""


def infer_kinds(
    names: Sequence[str],
    attempt: Callable[[Mapping[str, str]], None],
    *,
    recipe: Mapping[str, str] | None = None,
    literals: Sequence[str] = (),
    budget_seconds: float = 40.0,
) -> dict[str, str]:
    """Find a kind for each column with which `attempt` does not raise.

    Args:
        names: Columns known to be read.
        attempt: Runs the task's functions on rows of these kinds.
        recipe: Kinds that are known; ``=text`` and ``json:value`` stand for themselves.
        literals: Texts in the task's own tables, tried where one of its look-ups fails.
        budget_seconds: When to give up.

    Raises:
        Unsuitable: Nothing helped.
    """
    kinds = {name: first_guess(name) for name in names} | dict(recipe or {})
    end = time.monotonic() + budget_seconds
    seen: set[tuple[str, int, str]] = set()
    error = _tried(attempt, kinds)
    while error is not None and time.monotonic() < end:
        seen.add(_place(error))
        missing = missing_column(error)
        if missing is not None and missing not in kinds and not _is_value(missing, kinds):
            kinds[missing] = first_guess(missing)
            error = _tried(attempt, kinds)
            continue
        better = _changed(kinds, error, attempt, seen, literals if isinstance(error, _LOOK_UPS) else (), end)
        if better is None:
            break
        kinds, error = better
    if error is not None:
        file, line, text = _place(error)
        raise Unsuitable(f"{text} ({file.rpartition('/tasks/')[2]}:{line})")
    return kinds


def _changed(
    kinds: dict[str, str],
    error: BaseException,
    attempt: Callable[[Mapping[str, str]], None],
    seen: set[tuple[str, int, str]],
    literals: Sequence[str],
    end: float,
) -> tuple[dict[str, str], BaseException | None] | None:
    """Change one column's kind so that the error goes, or becomes one not met before."""
    fallback = novel = None
    for name in _suspects(kinds, error):
        for kind in (*ALTERNATIVES, *(f"={text}" for text in literals)):
            if time.monotonic() > end:
                return fallback or novel
            if kind == kinds[name]:
                continue
            changed = {**kinds, name: kind}
            now = _tried(attempt, changed)
            if now is None:
                return changed, None
            if fallback is None and _place(now) not in seen and _depth(now) > _depth(error):
                fallback = changed, now
            if novel is None and _place(now) not in seen and getattr(now, "stage", 0) >= getattr(error, "stage", 0):
                novel = changed, now
        if fallback is not None:
            return fallback
    return novel


def _suspects(kinds: Mapping[str, str], error: BaseException) -> list[str]:
    """Columns that the failing lines name, innermost first; then the others."""
    lines = [frame.line or "" for frame in reversed(traceback.extract_tb(error.__traceback__))]
    named = [n for line in lines for n in kinds if re.search(rf"\b{re.escape(n)}\b", line)]
    return list(dict.fromkeys([*named, *kinds]))


def _tried(attempt: Callable[[Mapping[str, str]], None], kinds: Mapping[str, str]) -> BaseException | None:
    try:
        attempt(kinds)
    except KeyboardInterrupt:
        raise
    except BaseException as e:  # noqa: BLE001  (tasks call sys.exit)
        return e
    return None


def _frame(error: BaseException) -> traceback.FrameSummary | None:
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "/tasks/" in f.filename and not f.filename.endswith("tasks/__init__.py")]
    return own[-1] if own else frames[-1] if frames else None


def _place(error: BaseException) -> tuple[str, int, str]:
    frame = _frame(error)
    text = f"{type(error).__name__}: {str(error)[:160]}"
    return (frame.filename, frame.lineno or 0, text) if frame else ("", 0, text)


def _depth(error: BaseException) -> int:
    """How far a task's functions came, as `attempt` noted it on the error."""
    return int(getattr(error, "stage", 0)) * 10_000 + _place(error)[1]


def _is_value(text: str, kinds: Mapping[str, str]) -> bool:
    """Whether a failed look-up was for a value that we made, not for a column."""
    return any(text.endswith(f" {name}") for name in kinds) or text in _WORDS or text in "ABCD"


def table_keys(modules: Iterable[Any]) -> list[str]:
    """Texts that are keys of a module's own tables: values that its look-ups know."""
    keys: dict[str, None] = {}
    for module in modules:
        for value in list(vars(module).values()):
            if isinstance(value, dict) and len(value) < 200:
                for key in value:
                    if isinstance(key, str):
                        keys[key] = None
            elif (
                isinstance(value, (list, tuple, set)) and 0 < len(value) < 50 and all(isinstance(v, str) for v in value)
            ):
                keys |= dict.fromkeys(sorted(value) if isinstance(value, set) else value)
    return list(keys)[:40]


def compared_texts(source: str) -> list[str]:
    """Texts that source code compares something with, or gives by keyword: ``doc["kind"] == "yes_no"``."""
    found: dict[str, None] = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Compare, ast.keyword)):
            for each in node.comparators if isinstance(node, ast.Compare) else [node.value]:
                for leaf in ast.walk(each):
                    if isinstance(leaf, ast.Constant) and isinstance(leaf.value, str) and 0 < len(leaf.value) < 40:
                        found[leaf.value] = None
    return list(found)[:40]

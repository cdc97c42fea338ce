"""Recordings of documents that nobody recorded: rows of recordings with other values in some of their columns.

    python tools/compat/documents.py --out ROWS [--seed 0] [--count 40] [--odd] [--keep COLUMN...] FILE...
    PYTHONPATH=OLD:. .compat-venv/bin/python tools/compat/record.py --out MADE --count 12 ROWS/*.jsonl
    python -m tests.parity.run MADE/*.jsonl

Values keep their type: texts become other texts, numbers in other writings, the same in another case or with blanks
around; lists lose, double and swap entries; a value may be that of another row. The first document is a row as it was,
since lmms-eval looks at the first one when it builds a task. Media stay, with other sizes.

With `--odd` values also lose their form: lists of 2 to 10 options, also null ones, answers in lower case, as index or
as a list, numbers as texts and in other scripts, questions with braces, percent signs and placeholders, nulls, and
columns that are missing.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

NUMBERS = (
    ".5", "+5", "5.", "-.5", "00", "1e-3", "12k", "5 million", "10^3", "1 000", "5%", "0.05", "2.50", "  7 ", "3/4",
    "12:30", "3rd", "$1,234.50", "~5", "5°C", "5cm", "IV", "3,14", "0", "13", "100", "3.5", "-2", "007", "three",
    "½", "99 apples",
)  # fmt: skip
TEXTS = (
    "A", "b", "(C)", "Yes", "no", "No.", "yes, it is", "None", "none of the above", "the red car", "Red Car.",
    "O'Neill", "it's", "Zürich", "東京", "A and B", "a, b", "New York, NY", "January 5, 1990", "2020-01-01", "120 Days",
    "I", "Not answerable", "['a', 'b']", "[1, 2]", "{x}", "%s", "C++", "U.S.", "e-mail", "x = 5", "\\frac{1}{2}", "2π",
    "<image 1>", "an apple", "Answer: B", '"quoted"', "  spaced  ", "two\nlines", "straße", "是", "true", "nan", "4;5",
)  # fmt: skip
FORMS = (
    "{}.", "{} ", " {}", "the {}", "{}?", "{}\n", "{0} {0}", "{} (B)", "A. {}", "(A) {}", "{}!", '"{}"', "{}é", "",
)  # fmt: skip
ODD = (
    "{x}", "{0} {}", "{{", "100% sure", "%s %d", "<image 1>", "<image>", "<video>", "<image 2> and <image 1>",
    "\\boxed{?}", "$x$", "<think>", "**bold**", "\u200b", "(A) or (B)?", "Answer:", "\n\n", "\u0663",
)  # fmt: skip
SCRIPTS = tuple(str.maketrans("0123456789", digits) for digits in ("٠١٢٣٤٥٦٧٨٩", "０１２３４５６７８９", "०१२३४५६७८९"))  # noqa: RUF001
CASES = (str.upper, str.lower, str.title, str.swapcase)
LETTERS = "ABCDEFGHIJ"
KEPT_OF_A_LINE = ("doc", "derived_doc", "aux", "responses")


def other_value(value: Any, siblings: Sequence[Any], rng: random.Random) -> Any:
    """Draw another value of the same type.

    Args:
        value: As a recording holds it.
        siblings: Values of the same column in other rows.
        rng: The seed.
    """
    if siblings and rng.random() < 0.3:
        return copy.deepcopy(rng.choice(siblings))
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return _other_text(value, rng)
    if isinstance(value, int):
        return rng.choice((0, 1, 2, 3, 5, 10, 100, value + 1))
    if isinstance(value, float):
        return rng.choice((0.0, 0.5, value * 2, value + 1, float(int(value)), 1e6))
    if isinstance(value, list):
        return _other_list(value, rng)
    if isinstance(value, Mapping) and "$image" in value:
        return {"$image": [rng.choice((10, 33, 64, 700)), rng.choice((7, 20, 300)), rng.randrange(256)]}
    if isinstance(value, Mapping) and value and not any(str(key).startswith("$") for key in value):
        key = rng.choice(list(value))
        return {**value, key: other_value(value[key], (), rng)}
    return value


def odd_value(value: Any, rng: random.Random) -> Any:
    """Draw a value of another form than the column's.

    Args:
        value: As a recording holds it.
        rng: The seed.
    """
    if value is None or isinstance(value, Mapping):
        return value
    if not isinstance(value, list) and rng.random() < 0.05:
        return None
    if isinstance(value, list):
        return _odd_list(value, rng)
    if isinstance(value, bool):
        return rng.choice((int(value), str(value), str(value).lower()))
    if isinstance(value, (int, float)):
        return rng.choice((str(value), float(value), -value, [value], f"{value:,}"))
    if re.fullmatch(r"[A-J]", value):
        index = LETTERS.index(value)
        return rng.choice(
            (value.lower(), index, str(index), index + 1, [value], f"({value})", f"{value}.", chr(9398 + index))
        )
    if re.fullmatch(r"-?[\d.,]+%?", value):
        return rng.choice((value.translate(rng.choice(SCRIPTS)), f" {value}", [value], f"{value} cm", f"{value}%"))
    return rng.choice(("{} {}", "{1} {0}", "{0}\n{1}", "{0}{1}")).format(value, rng.choice(ODD))


def _odd_list(entries: Sequence[Any], rng: random.Random) -> list[Any]:
    wanted = rng.randrange(2, 11)
    entries = copy.deepcopy(list(entries)) or ["one", "two"]
    grown = [
        entries[i % len(entries)] if i < len(entries) else odd_value(entries[i % len(entries)], rng)
        for i in range(wanted)
    ]
    if rng.random() < 0.3:
        grown[rng.randrange(wanted)] = None
    return grown


def _other_text(text: str, rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.8 and re.fullmatch(r"[A-H]", text.strip()):
        return rng.choice(LETTERS)
    if kind < 0.7 and re.fullmatch(r"-?[\d.,]+%?", text.strip()):
        return rng.choice(NUMBERS)
    if kind < 0.6:
        return rng.choice(TEXTS if kind < 0.45 else NUMBERS)
    return rng.choice(CASES)(text) if kind < 0.7 else rng.choice(FORMS).format(text)


def _other_list(entries: Sequence[Any], rng: random.Random) -> list[Any]:
    entries = copy.deepcopy(list(entries))
    if not entries:
        return entries
    kind = rng.randrange(6)
    if kind == 0:
        entries.pop(rng.randrange(len(entries)))
    elif kind == 1:
        entries.append(other_value(rng.choice(entries), (), rng))
    elif kind == 2:
        rng.shuffle(entries)
    elif kind == 3:
        entries *= rng.choice((0, 3))
    else:
        place = rng.randrange(len(entries))
        entries[place] = other_value(entries[place], (), rng)
    return entries


def other_documents(
    lines: Sequence[Mapping[str, Any]], count: int, rng: random.Random, kept: Sequence[str] = (), *, odd: bool = False
) -> list[dict[str, Any]]:
    """Make documents from those of a recording; their responses stay, as examples of what may be said."""
    made = [dict(lines[0])]
    for _ in range(count):
        line = copy.deepcopy({k: v for k, v in rng.choice(lines).items() if k in KEPT_OF_A_LINE})
        doc = {**line["doc"], **line.pop("derived_doc", {})}
        columns = [column for column in doc if column not in kept]
        for column in rng.sample(columns, min(len(columns), rng.choice((1, 1, 2, 2, 3, 4)))):
            siblings = [other["doc"][column] for other in lines if column in other["doc"]]
            if not odd or rng.random() < 0.3:
                doc[column] = other_value(doc[column], siblings, rng)
            elif rng.random() < 0.06:
                del doc[column]
            else:
                doc[column] = odd_value(doc[column], rng)
        made.append({**line, "doc": doc})
    return made


def main() -> None:
    """Write one file for every file that is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--out", type=Path, required=True, help="a folder for the new recordings")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=40, help="documents a file")
    parser.add_argument("--keep", nargs="*", default=[], metavar="COLUMN", help="columns that stay, such as file names")
    parser.add_argument("--odd", action="store_true", help="values of other forms too, null ones, and missing columns")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    for path in given.files:
        header, *lines = (json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line)
        rng = random.Random(f"{given.seed}/{path.stem}")
        made = other_documents(lines, given.count, rng, given.keep, odd=given.odd) if lines else []
        with (given.out / path.name).open("w", encoding="utf-8") as file:
            for line in [{"task": header["task"], "aggregated": {}}, *made]:
                file.write(json.dumps(line, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()

"""`pytest-lmms tasks new NAME`: the folder of a benchmark that runs, to be changed into one's own."""

from __future__ import annotations

import argparse
import json
import re
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from pytest_lmms import catalog
from pytest_lmms.cli.shared import DIFFERS, OK
from pytest_lmms.errors import UsageError, explain
from pytest_lmms.tasks.index import index_tasks

COLOURS = ("red", "green", "blue", "yellow")
RGB = {"red": (200, 40, 40), "green": (40, 160, 60), "blue": (50, 70, 200), "yellow": (230, 210, 50)}
MAX_NAME = 60
"""Characters of a name: files are named by it, and columns of tables as wide."""
SIDE_PX = 64
RATE_HZ = 8000


class Kind(NamedTuple):
    """What a new benchmark asks about, and how its answers are scored."""

    help: str
    medium: str | None
    """Column of the medium: `image`, `video`, `audio`, or None."""
    is_choice: bool


KINDS = {
    "choice": Kind("a picture, options, one letter", "image", is_choice=True),
    "answer": Kind("a picture, a short answer in words", "image", is_choice=False),
    "video": Kind("a video, options, one letter", "video", is_choice=True),
    "audio": Kind("a sound, a short answer in words", "audio", is_choice=False),
    "text": Kind("no medium, a short answer in words", None, is_choice=False),
}


def add_new(command: argparse.ArgumentParser) -> None:
    """Declare its arguments."""
    command.add_argument("name", metavar="NAME", help="of the benchmark and its task: small letters, digits and _")
    texts = "; ".join(f"{name}: {kind.help}" for name, kind in KINDS.items())
    command.add_argument("--kind", choices=KINDS, default="choice", help=f"{texts}; default: %(default)s")
    text = "where to make its folder; default: benchmarks, where there is such a folder, else here"
    command.add_argument("--folder", type=Path, metavar="DIR", help=text)


def make_new(parsed: argparse.Namespace) -> int:
    """Write the folder, check the task, and say what comes next."""
    _check_name(parsed.name)
    above = parsed.folder or (Path("benchmarks") if Path("benchmarks").is_dir() else Path())
    folder = above / parsed.name
    if folder.exists():
        raise UsageError(explain("there is such a folder", where=str(folder), remedy="choose another name"))
    try:
        write_benchmark(folder, parsed.name, KINDS[parsed.kind])
    except OSError as e:
        raise UsageError(explain(f"cannot be written: {e.strerror}", where=str(folder))) from e
    from pytest_lmms.lint import check_task

    problems = check_task(folder / f"{parsed.name}.yaml")
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        print(f"  {path}")
    print("\n".join(problems) if problems else _NEXT.format(folder=folder, name=parsed.name))
    return DIFFERS if problems else OK


def _check_name(name: str) -> None:
    if not re.fullmatch(rf"[a-z][a-z0-9_]{{0,{MAX_NAME - 1}}}", name):
        expected = f"small letters, digits and _, a letter first, at most {MAX_NAME} of them"
        raise UsageError(explain(f"{name!r} is no name for a benchmark", where="tasks new", expected=expected))
    index = index_tasks([catalog.folder("benchmarks")])
    there = index.tasks.get(name) or (index.groups[name].path if name in index.groups else None)
    if there is not None:
        text = f"{name!r} is there already, and --lmms-tasks could mean either"
        raise UsageError(explain(text, where=str(there), remedy="choose another name"))


_NEXT = """
It runs on its miniature:
    pytest {folder} --lmms-model dummy --lmms-data mini
Then: name your dataset in {name}.yaml, say in utils.py how a row becomes a prompt and an answer a score, make the
miniature's rows look like the dataset's, and check it:
    pytest-lmms tasks check {folder}/{name}.yaml"""


def write_benchmark(folder: Path, name: str, kind: Kind) -> None:
    """Write YAML, code, README and miniature.

    Args:
        folder: Made; must not exist.
        name: Of the task.
        kind: What it asks about.

    Raises:
        OSError: It cannot be written.
    """
    (folder / "miniature").mkdir(parents=True)
    rows = [_row(i, colour, kind, folder / "miniature") for i, colour in enumerate(COLOURS)]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "miniature" / f"{name}.jsonl").write_text(text, encoding="utf-8")
    (folder / f"{name}.yaml").write_text(_yaml(name, kind), encoding="utf-8")
    (folder / "utils.py").write_text(_code(name, kind), encoding="utf-8")
    (folder / "README.md").write_text(_readme(name, kind, rows[0]), encoding="utf-8")


# --- the miniature ------------------------------------------------------------------------------------------------


def _row(number: int, colour: str, kind: Kind, folder: Path) -> dict[str, Any]:
    row: dict[str, Any] = {"question_id": f"q{number}"}
    answer = colour
    if kind.medium == "audio":
        answer = ["one", "two", "three", "four"][number]
        row["question"] = "How many beeps are in the sound?"
    elif kind.medium is None:
        row["question"] = f"Which colour is named here: {colour}?"
    else:
        row["question"] = f"What colour is the {'square' if kind.medium == 'image' else 'moving square'}?"
    if kind.medium is not None:
        path = folder / f"{answer}{ {'image': '.png', 'video': '.mp4', 'audio': '.wav'}[kind.medium] }"
        _MAKERS[kind.medium](path, number, colour)
        row[kind.medium] = {f"${kind.medium}": path.name}
    if kind.is_choice:
        row["options"] = list(COLOURS)
        row["answer"] = "ABCD"[number]
    else:
        row["answer"] = answer
    row["category"] = (
        ["warm", "cold", "cold", "warm"][number] if kind.medium != "audio" else ["few", "many"][number // 2]
    )
    return row


def _scene(colour: str, left: int) -> Any:
    from PIL import Image

    image = Image.new("RGB", (SIDE_PX, SIDE_PX), (235, 235, 235))
    image.paste(RGB[colour], (left, 20, left + 24, 44))
    return image


def _make_image(path: Path, _number: int, colour: str) -> None:
    _scene(colour, 20).save(path)


def _make_video(path: Path, _number: int, colour: str) -> None:
    from pytest_lmms.media._pyav_write import write_video

    write_video(path, (_scene(colour, left) for left in range(0, 40, 2)), fps=8)


def _make_audio(path: Path, number: int, _colour: str) -> None:
    import math

    beep = [math.sin(2 * math.pi * 880 * i / RATE_HZ) for i in range(RATE_HZ // 5)]
    samples = (beep + [0.0] * (RATE_HZ // 5)) * (number + 1)
    with wave.open(str(path), "wb") as sound:
        sound.setparams((1, 2, RATE_HZ, 0, "NONE", "not compressed"))
        sound.writeframes(b"".join(int(12_000 * s).to_bytes(2, "little", signed=True) for s in samples))


_MAKERS: dict[str, Callable[[Path, int, str], None]] = {
    "image": _make_image, "video": _make_video, "audio": _make_audio,
}  # fmt: skip


# --- the texts ----------------------------------------------------------------------------------------------------


def _yaml(name: str, kind: Kind) -> str:
    visual = f"doc_to_visual: !function utils.{name}_doc_to_visual\n" if kind.medium else ""
    post = "Answer with the option's letter." if kind.is_choice else "Answer with one word."
    return f"""\
task: {name if yaml.safe_load(name) == name else json.dumps(name)}
dataset_path: your-name/{name}  # on the Hugging Face Hub; or json, parquet, ... with data_files in dataset_kwargs
test_split: test
output_type: generate_until
{visual}doc_to_text: !function utils.{name}_doc_to_text
doc_to_target: answer
process_results: !function utils.{name}_process_results
generation_kwargs:
  max_new_tokens: 16
  temperature: 0
  do_sample: false
metric_list:
  - metric: {name}_accuracy
    aggregation: !function utils.{name}_aggregate_results
    higher_is_better: true
lmms_eval_specific_kwargs:
  default:
    pre_prompt: ""
    post_prompt: "\\n{post}"
metadata:
  version: 1.0
"""


def _code(name: str, kind: Kind) -> str:
    title = name.replace("_", " ")
    imports = ["from pytest_lmms.records import Unparsed"]
    if kind.is_choice:
        imports.append("from pytest_lmms.scoring.letters import announced_letter")
    imports.append("from pytest_lmms.scoring.subscores import with_sub_scores")
    imports.append(
        f"from pytest_lmms.tasks.prompts import {'instructed, option_lines' if kind.is_choice else 'instructed'}"
    )
    visual = (
        f'''
def {name}_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the {kind.medium}."""
    return [doc["{kind.medium}"]]

'''
        if kind.medium
        else ""
    )
    if kind.is_choice:
        asked = "f\"{doc['question']}\\n{option_lines(doc['options'])}\""
        told = "question, options as lettered lines, and instruction"
        read = "    found = announced_letter(results[0])"
        right = 'found == doc["answer"]'
    else:
        asked = 'doc["question"]'
        told = "question and instruction"
        read = '    found = results[0].strip().strip(".").lower() or None'
        right = 'found == str(doc["answer"]).lower()'
    return f'''"""{title}: say in one line what it asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

{chr(10).join(imports)}

Doc = Mapping[str, Any]

{visual}
def {name}_doc_to_text(doc: Doc, kwargs: Doc | None = None) -> str:
    """Return {told}."""
    return instructed({asked}, kwargs)


def {name}_process_results(doc: Doc, results: Sequence[str]) -> Mapping[str, Any]:
    """Score one answer; one that cannot be read is `Unparsed`, which counts as wrong and is shown as a count."""
{read}
    item = {{"category": doc["category"], "score": float({right})}}
    scores = {{"{name}_accuracy": item}}
    return scores if found is not None else Unparsed(scores)


def {name}_category_scores(items: Sequence[Doc]) -> dict[str, float]:
    """Return the share of right answers of each category."""
    categories = dict.fromkeys(item["category"] for item in items)
    return {{str(c): fmean(item["score"] for item in items if item["category"] == c) for c in categories}}


@with_sub_scores({name}_category_scores)
def {name}_aggregate_results(items: Sequence[Doc]) -> float:
    """Return the share of right answers, 0 to 1."""
    return fmean(item["score"] for item in items)
'''


def _readme(name: str, kind: Kind, row: dict[str, Any]) -> str:
    return f"""# {name}

One row, as the dataset stores it (this one is made up):

```json
{json.dumps(row)}
```

## What it measures

Say here what it measures, and on what.

    pytest benchmarks/{name} --lmms-model NAME

## How an answer is scored

1. {"The option's letter is read" if kind.is_choice else "The answer is compared, case ignored"}; a response without
   one is `unparsed`, and wrong.
2. `{name}_accuracy` is the share of right answers, 0 to 1, in total and for each category.

## Licence

Of the data: say whose, and where that is written.

## Citation

```bibtex
```
"""

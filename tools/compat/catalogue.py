"""Load every task YAML of an installed lmms-eval, and say what is refused and why.

    PYTHONPATH=. .compat-venv/bin/python tools/compat/catalogue.py [--tasks FOLDER] [--markdown FILE]

Which files are tasks, groups and templates is found by a plain YAML parser, not by the loader under test. Each
`!function` is imported apart, so that a missing package of a task is not taken for a refusal. Folders are done in
forked children: a task whose import ends the process or hangs costs itself alone.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import io
import json
import multiprocessing
import os
import re
import shutil
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

PLACEHOLDERS = {"OPENAI_API_KEY": "none", "AZURE_OPENAI_API_KEY": "none", "HF_TOKEN": "", "HF_HUB_OFFLINE": "1",
                "AZURE_API_KEY": "none", "ANTHROPIC_API_KEY": "none", "TOKENIZERS_PARALLELISM": "false"}  # fmt: skip
"""Set before tasks are imported: several make clients on import. Nothing is ever asked of them."""
FOLDER_SECONDS = 180
NUM_EXAMPLES = 3


class _Plain(yaml.CSafeLoader):
    """YAML as data; `!function x` becomes a `Function`."""

    lmms_path: Path


@dataclass(frozen=True)
class Function:
    """A dotted name after `!function`, and the YAML that says it: its module is looked for beside that."""

    dotted: str
    path: Path


_Plain.add_constructor("!function", lambda loader, node: Function(str(node.value).strip(), loader.lmms_path))


@dataclass
class Found:
    """One YAML and what became of it."""

    path: str
    kind: str
    """`task`, `group`, `class` (a Python class), `template`, `other`."""
    name: str = ""
    output_type: str = ""
    is_chat: bool = False
    imports: dict[str, str] = field(default_factory=dict)
    """`!function` to why it cannot be imported; empty text where it can."""
    refused: str = ""
    """Why our loader refuses it; empty where it loads."""
    scorer_refused: str = ""
    """Why no scorer can be built; only tried where all functions are there."""

    @property
    def importable(self) -> bool:
        """Whether all its own functions import."""
        return not any(self.imports.values())


def merged(path: Path, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    """A YAML with its includes below it, as plain data; a missing include is left out, as lmms-eval does."""
    loader = _Plain(path.read_text(encoding="utf-8"))
    loader.lmms_path = path
    try:
        values = loader.get_single_data()
    finally:
        loader.dispose()
    if not isinstance(values, dict):
        return {}
    includes = values.pop("include", None) or []
    base: dict[str, Any] = {}
    for name in reversed([includes] if isinstance(includes, str) else includes):
        target = path.parent / name
        if target.is_file() and target not in seen:
            base |= merged(target, (*seen, path))
    return base | values


def kind_of(values: Mapping[str, Any]) -> str:
    """Tell by lmms-eval's rule what a YAML is."""
    if "class" in values:
        return "class"
    task = values.get("task")
    if "group" in values and isinstance(task, list):
        return "group"
    if isinstance(task, str):
        return "task"
    return (
        "template" if any(key.startswith(("doc_to", "dataset")) or key == "metric_list" for key in values) else "other"
    )


def functions_in(value: Any) -> Iterator[Function]:
    """Every `!function` in a YAML's values."""
    if isinstance(value, Function):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from functions_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from functions_in(each)


def reason_of(message: str) -> str:
    """A message without what differs between files: paths, lines, names in quotes behind the first words."""
    first = message.strip().partition("\n")[0]
    first = re.sub(r"\S*/[\w./-]+(:\d+)?:?", "", first)
    return re.sub(r"\s+", " ", re.sub(r"0x[0-9a-f]+|\(\s*\)", "", first)).strip(" :")


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Nothing that tasks print on import."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def examine(path: Path) -> Found:
    """Load one YAML through us, and import its functions."""
    from pytest_lmms.errors import LmmsError
    from pytest_lmms.scoring.build import build_scorer
    from pytest_lmms.scoring.reasoning import DEFAULT_TAGS
    from pytest_lmms.tasks import load
    from pytest_lmms.tasks.groups import build_group
    from pytest_lmms.tasks.yamlfile import FunctionRef, read_merged

    values = merged(path)
    found = Found(str(path), kind_of(values), str(values.get("task") or values.get("group") or ""))
    if found.kind == "group":
        found.name = str(values["group"])
    found.output_type = str(values.get("output_type", "generate_until"))
    found.is_chat = "doc_to_messages" in values
    if found.kind in ("template", "other"):
        return found
    if found.kind != "class":
        for function in set(functions_in(values)):
            try:
                FunctionRef(function.dotted, function.path, 1).resolve()
                found.imports[function.dotted] = ""
            except SystemExit as e:
                found.imports[function.dotted] = f"SystemExit: {e}"
            except LmmsError as e:
                found.imports[function.dotted] = str(e)
    try:
        if found.kind == "group":
            file = read_merged(path)
            build_group(file.values, path, file.where)
        else:
            task = load.load_task(path)
            if found.importable and found.kind == "task":
                try:
                    build_scorer(task, reasoning_tags=DEFAULT_TAGS)
                except LmmsError as e:
                    found.scorer_refused = str(e)
    except LmmsError as e:
        found.refused = str(e)
    except Exception as e:  # noqa: BLE001  (what we are here to find)
        found.refused = f"{type(e).__name__}: {e} (no error of ours)"
    return found


def _child(paths: Sequence[Path], out: str) -> None:
    with open(out, "w", encoding="utf-8") as file, silenced():
        for path in paths:
            try:
                line = json.dumps(asdict(examine(path)))
            except BaseException as e:  # noqa: BLE001  (a task may raise whatever it wants)
                values = merged(path)
                line = json.dumps(
                    asdict(Found(str(path), kind_of(values), refused=f"{type(e).__name__}: {e} (while examined)"))
                )
            file.write(line + "\n")
            file.flush()


def examine_all(root: Path) -> list[Found]:
    """Examine every YAML below a folder, one forked child for each folder."""
    by_folder: dict[Path, list[Path]] = defaultdict(list)
    for path in sorted(p for p in root.rglob("*") if p.suffix in (".yaml", ".yml")):
        top = root / path.relative_to(root).parts[0]
        by_folder[top].append(path)
    fork = multiprocessing.get_context("fork")
    results: list[Found] = []
    with tempfile.TemporaryDirectory() as scratch:
        for number, (top, paths) in enumerate(sorted(by_folder.items())):
            out = os.path.join(scratch, f"{number}.jsonl")
            process = fork.Process(target=_child, args=(paths, out))
            process.start()
            process.join(FOLDER_SECONDS)
            if process.is_alive():
                process.kill()
                process.join()
            lines = Path(out).read_text(encoding="utf-8").splitlines() if Path(out).exists() else []
            results += [Found(**json.loads(line)) for line in lines]
            for path in paths[len(lines) :]:
                results.append(
                    Found(str(path), kind_of(merged(path)), refused=f"the import of {top.name} ended or hung")
                )
            if sys.stderr.isatty():
                print(f"\r{number + 1}/{len(by_folder)} folders", end="", file=sys.stderr)
    return results


def preload() -> None:
    """Import once, before forking, what most tasks import."""
    os.environ.update({k: os.environ.get(k) or v for k, v in PLACEHOLDERS.items()})
    os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="compat-")
    atexit.register(shutil.rmtree, os.environ["HF_HOME"], ignore_errors=True)
    with silenced():
        for name in ("numpy", "PIL.Image", "torch", "transformers", "datasets", "openai", "sklearn", "nltk", "pandas",
                     "lmms_eval.api.task", "lmms_eval.filters.extraction", "lmms_eval.tasks",
                     "pytest_lmms.scoring.build", "pytest_lmms.tasks.load"):  # fmt: skip
            with contextlib.suppress(ImportError):
                __import__(name)


def table(results: Sequence[Found], root: Path) -> str:
    """The findings in Markdown."""
    tasks = [f for f in results if f.kind == "task"]
    groups = [f for f in results if f.kind == "group"]
    able = [f for f in tasks if f.importable]
    loaded = [f for f in able if not f.refused]
    ready = [f for f in loaded if not f.scorer_refused]
    share = 100 * len(ready) / max(1, len(able))
    count = Counter(f.kind for f in results)
    lines = [
        "| | files |",
        "| --- | ---: |",
        f"| YAML files | {len(results)} |",
        f"| task YAMLs | {len(tasks)} |",
        f"| ... that load | {sum(not f.refused for f in tasks)} |",
        f"| ... whose own functions all import | {len(able)} |",
        f"| ... of these, load | {len(loaded)} |",
        f"| ... of these, load and have a scorer | {len(ready)} ({share:.1f} %) |",
        f"| group YAMLs | {len(groups)} |",
        f"| ... that parse | {sum(not f.refused for f in groups)} |",
        f"| Python task classes (`class:`), refused with the reason | {count['class']} |",
        f"| templates without `task` | {count['template']} |",
        f"| other YAML files | {count['other']} |",
    ]
    names = {e for f in tasks for e in f.imports}
    per_file = Counter(bool(why) for f in tasks for why in f.imports.values())
    lines += [
        "",
        f"`!function` entries: {per_file[False]} import, {per_file[True]} do not ({len(names)} different names).",
    ]
    for title, reasons in (
        ("Refused by the loader", _grouped((f, f.refused) for f in results)),
        ("Loaded, without a scorer", _grouped((f, f.scorer_refused) for f in able)),
        ("Own functions that do not import", _grouped((f, why) for f in tasks for why in f.imports.values())),
    ):
        lines += ["", f"**{title}**", ""]
        if not reasons:
            lines += ["none"]
            continue
        lines += ["| files | reason | for example |", "| ---: | --- | --- |"]
        for reason, files in sorted(reasons.items(), key=lambda item: -len(item[1])):
            shown = ", ".join(str(Path(p).relative_to(root)) for p in sorted(files)[:NUM_EXAMPLES])
            lines.append(f"| {len(files)} | {reason.replace('|', '/')[:200]} | {shown} |")
    return "\n".join(lines) + "\n"


def _grouped(pairs: Iterable[tuple[Found, str]]) -> dict[str, set[str]]:
    grouped: dict[str, set[str]] = defaultdict(set)
    for found, message in pairs:
        if message:
            grouped[_import_reason(message)].add(found.path)
    return grouped


def _import_reason(message: str) -> str:
    """Of a failed import the exception alone, of anything else the message."""
    match = re.search(r"failed with (\w+: .*?)( \(/|\n|$)", message)
    return reason_of(match[1] if match else message)


def tasks_folder() -> Path:
    """Where the installed lmms-eval keeps its tasks."""
    import importlib.util

    spec = importlib.util.find_spec("lmms_eval")
    if spec is None or spec.origin is None:
        sys.exit("lmms-eval is not installed in this environment: `make compat-venv`, or give --tasks FOLDER")
    return Path(spec.origin).parent / "tasks"


def time_index(root: Path) -> str:
    """Seconds to index all names: ours, twice, and lmms-eval's where that is installed."""
    try:
        from pytest_lmms.tasks import index
    except ImportError:
        return ""
    start = time.perf_counter()
    index.index_tasks([root])
    cold = time.perf_counter() - start
    start = time.perf_counter()
    index.index_tasks([root])
    warm = time.perf_counter() - start
    ours = f"\nIndex of all names, this run: ours {cold:.2f} s, again {warm:.2f} s"
    with silenced():
        try:
            from lmms_eval.tasks import TaskManager
        except ImportError:
            return f"{ours}.\n"
        start = time.perf_counter()
        TaskManager("ERROR")
        theirs = time.perf_counter() - start
    return f"{ours}; lmms-eval's TaskManager {theirs:.2f} s.\n"


def main() -> None:
    """Print the table; exit with 1 when less than 98 % of the importable tasks load."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--tasks", type=Path, help="a tasks folder; default: that of the installed lmms-eval")
    parser.add_argument("--markdown", type=Path, help="write the table here as well")
    parser.add_argument("--json", type=Path, help="write one line for each YAML here")
    options = parser.parse_args()
    preload()
    root = (options.tasks or tasks_folder()).resolve()
    results = examine_all(root)
    text = table(results, root) + time_index(root)
    print(text)
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")
    if options.json:
        options.json.write_text("".join(json.dumps(asdict(f)) + "\n" for f in results), encoding="utf-8")
    able = [f for f in results if f.kind == "task" and f.importable]
    sys.exit(sum(not f.refused and not f.scorer_refused for f in able) < 0.98 * len(able))


if __name__ == "__main__":
    main()

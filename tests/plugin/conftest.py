"""Small tasks for tests of the plugin, and readers of what a run leaves behind.

`write_task` writes a task YAML with a miniature; `run` runs pytest on it in this process; `records_of` and
`results_of` read the newest run folder. In-process runs share imported modules, so that a run costs milliseconds;
tests that need workers, signals or a fresh interpreter use `pytester.runpytest_subprocess`.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from _pytest.pytester import SysModulesSnapshot

DEFAULTS: dict[str, Any] = {
    "dataset_path": "nobody/has-this-dataset",
    "test_split": "test",
    "output_type": "generate_until",
    "doc_to_text": "question",
    "doc_to_target": "answer",
    "metric_list": [{"metric": "exact_match"}],
}


class _Dumper(yaml.SafeDumper):
    """Writes text that starts with `!function ` as that tag."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    if text.startswith("!function "):
        return dumper.represent_scalar("!function", text.removeprefix("!function "), style="")
    return dumper.represent_scalar("tag:yaml.org,2002:str", text)


_Dumper.add_representer(str, _represent_text)


def _write_task(
    folder: Path, name: str, rows: int | Sequence[Mapping[str, Any]] = 3, *, code: str | None = None, **fields: Any
) -> Path:
    """Write `<folder>/<name>.yaml` and its miniature, and return the YAML's path.

    Args:
        folder: Made if missing.
        name: Of the task.
        rows: Of the miniature; a number makes as many, with columns `question` (`q0`, ...) and `answer` (`A`). An
            empty list writes no miniature.
        code: Becomes `utils.py` beside the YAML.
        **fields: Of the YAML, over the defaults; None leaves a default out. Text that starts with `!function ` is
            written as that tag.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(rows, int):
        rows = [{"question": f"q{i}", "answer": "A"} for i in range(rows)]
    if rows:
        miniature = folder / "miniature" / f"{name}.jsonl"
        miniature.parent.mkdir(exist_ok=True)
        miniature.write_text("".join(json.dumps(row) + "\n" for row in rows))
    if code is not None:
        (folder / "utils.py").write_text(code)
    values = {k: v for k, v in {"task": name, **DEFAULTS, **fields}.items() if v is not None}
    path = folder / f"{name}.yaml"
    path.write_text(yaml.dump(values, Dumper=_Dumper, sort_keys=False))
    return path


@pytest.fixture(scope="session", autouse=True)
def _imported_once() -> Iterator[None]:
    """Let pytester forget, after each run in process, what that run imported, but for installed packages.

    Compiled modules cannot be imported twice, and importing the others again would cost a second a run.
    """
    import pytest_lmms

    for module in pkgutil.walk_packages(pytest_lmms.__path__, "pytest_lmms."):
        if "_catalog" in module.name:
            continue
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:  # one that needs an extra
            if (error.name or "").startswith("pytest_lmms"):
                raise
    forget = SysModulesSnapshot.restore

    def restore(snapshot: SysModulesSnapshot) -> None:
        kept = {n: m for n, m in sys.modules.items() if "site-packages" in (getattr(m, "__file__", None) or "")}
        forget(snapshot)
        sys.modules.update({n: m for n, m in kept.items() if n not in sys.modules})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SysModulesSnapshot, "restore", restore)
        yield


@pytest.fixture
def write_task() -> Callable[..., Path]:
    """`write_task(folder, name, rows=3, code=None, **yaml_fields) -> Path`; see `_write_task`."""
    return _write_task


@pytest.fixture
def run(pytester: pytest.Pytester) -> Callable[..., pytest.RunResult]:
    """Run pytest in this process on miniatures, asking the dummy model, which says `A`.

    `run(*arguments, model="dummy", data="mini")`; None leaves the option out.
    """

    def run(*arguments: object, model: str | None = "dummy", data: str | None = "mini") -> pytest.RunResult:
        given = [str(a) for a in arguments]
        if model is not None:
            given += ["--lmms-model", model]
        if data is not None:
            given += ["--lmms-data", data]
        return pytester.runpytest_inprocess(*given)

    return run


def _run_folders(path: Path) -> list[Path]:
    return sorted((p.parent for p in path.glob("results/*/run.json")), key=lambda p: p.stat().st_ctime_ns)


@pytest.fixture
def run_folder(pytester: pytest.Pytester) -> Callable[[], Path]:
    """`run_folder()`: the newest run folder below the current one."""
    return lambda: _run_folders(pytester.path)[-1]


@pytest.fixture
def results_of(pytester: pytest.Pytester) -> Callable[[], dict[str, Any]]:
    """`results_of()`: results.json of the newest run."""
    return lambda: json.loads((_run_folders(pytester.path)[-1] / "results.json").read_text())


@pytest.fixture
def records_of(pytester: pytest.Pytester) -> Callable[[str], list[dict[str, Any]]]:
    """`records_of("task")`: the task's records in the newest run, in document order."""

    def records_of(task: str) -> list[dict[str, Any]]:
        text = (_run_folders(pytester.path)[-1] / f"samples_{task}.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]

    return records_of

"""The house rules that a reader relies on, as tests. docs/architecture.md gives the reasons."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "pytest_lmms"
MODULES = sorted(PACKAGE.rglob("*.py"))
CATALOGUE = sorted([*(ROOT / "benchmarks").rglob("*.py"), *(ROOT / "models").rglob("*.py")])

ORDER = [
    {"errors", "masks"},
    {"records"},
    {
        "hookspecs",
        "entry_points",
        "registry",
        "model_args",
        "catalog",
        "jsonl",
        "printable",
        "yamlbounds",
        "httpbounds",
        "regexes",
        "standins",
        "stats",
        "media",
        "client",
        "doctor",
    },
    {"tasks", "inference"},
    {"scoring"},
    {"judging", "task_utils"},
    {"llm_judge"},
    {"documents"},
    {"conversing"},
    {"evaluate"},
    {"spellings"},
    {"variables", "surroundings"},
    {"configfile", "values"},
    {"config"},
    {"settings"},
    {"results"},
    {"loggers"},
    {"preflight", "modelprobes"},
    {"lint", "dryrun", "modelcheck", "viewer"},
    {"plugin", "server"},
    {"cli"},
    {"__main__"},
]
"""Rooms from top to bottom: each imports from itself, and from rooms above it."""
OUTSIDE = {"testing", "training"}
"""For authors of tasks and models, and for training: nothing in the house imports them."""
NEIGHBOURS = [("tasks", "inference"), ("inference", "tasks"), ("server", "plugin"), ("plugin", "server")]
"""Rooms of one floor that must not know each other."""
SAME_FLOOR = {("registry", "catalog"), ("registry", "entry_points"), ("media", "jsonl"), ("httpbounds", "jsonl")}
"""Rooms of one floor that may: (importer, imported)."""
PURE = ("inference/ordering.py", "stats/", "media/sampling.py")
MIN_COPIED_LINES = 6


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str | None:
    """`pytest_lmms.media.image` is in the room `media`; the package itself is in none."""
    parts = module.split(".")
    return parts[1] if parts[0] == "pytest_lmms" and len(parts) > 1 else None


def imports_of(path: Path, *, only_at_import: bool = False) -> Iterator[tuple[str, int]]:
    """(module, line) of every import; `from a import b` gives `a.b`, so that submodules are seen.

    With `only_at_import`, imports inside functions and below `if TYPE_CHECKING` are left out.
    """
    package = name_of(path) if path.name == "__init__.py" else name_of(path).rpartition(".")[0]
    pending: list[ast.AST] = [tree_of(path)]
    while pending:
        node = pending.pop()
        if only_at_import and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if only_at_import and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            pending.extend(node.orelse)
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                yield f"{base}.{alias.name}", node.lineno
        pending.extend(ast.iter_child_nodes(node))


def importers_of(library: str, paths: list[Path] = MODULES, *, only_at_import: bool = False) -> dict[str, int]:
    """Files, relative to the package, that import a library, and the line."""
    return {
        path.relative_to(PACKAGE if path.is_relative_to(PACKAGE) else ROOT).as_posix(): line
        for path in paths
        for module, line in imports_of(path, only_at_import=only_at_import)
        if module.split(".")[0] == library
    }


# --- rooms --------------------------------------------------------------------------------------------------------


def test_every_module_is_in_a_room_of_the_plan():
    known = set().union(*ORDER) | OUTSIDE
    assert {room_of(name_of(p)) for p in MODULES} - {None} <= known


def test_rooms_import_only_from_rooms_above_them():
    floor = {room: i for i, rooms in enumerate(ORDER) for room in rooms}
    wrong = []
    for path in MODULES:
        room = room_of(name_of(path))
        if room is None or room in OUTSIDE:
            continue
        for module, line in imports_of(path):
            other = room_of(module)
            if other is None or other == room or (room, other) in SAME_FLOOR:
                continue
            if other in OUTSIDE or floor.get(other, -1) >= floor[room]:
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {module}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(("room", "other"), NEIGHBOURS)
def test_rooms_of_one_floor_do_not_know_each_other(room, other):
    wrong = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in MODULES
        if room_of(name_of(path)) == room
        for module, line in imports_of(path)
        if room_of(module) == other
    ]
    assert not wrong, f"{room} imports {other}: {wrong}"


def test_nothing_in_the_house_imports_the_catalogue_or_the_tests():
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in MODULES
        for module, line in imports_of(path)
        if module.split(".")[0] in {"models", "benchmarks", "configs", "tests", "tools"}
    ]
    assert not wrong, "\n".join(wrong)


# --- who may import what ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", ["pytest", "_pytest"])
def test_only_the_plugin_imports_pytest(library):
    starts_it = {"training.py", "server/reporting.py"}  # pytest in this process; a plugin's types
    wrong = {p: n for p, n in importers_of(library).items() if not p.startswith("plugin/") and p not in starts_it}
    assert not wrong


def test_only_scheduling_imports_xdist():
    assert importers_of("xdist").keys() <= {"plugin/scheduling.py"}


@pytest.mark.parametrize(
    ("library", "home"),
    [
        ("av", "media/_pyav.py media/_pyav_open.py media/_pyav_audio.py media/_pyav_write.py"),
        ("torchcodec", "media/_torchcodec.py"),
        ("lance", "media/_lance.py"),
        ("decord", "media/_decord.py"),
        ("nvidia", "media/_dali.py"),
    ],
)
def test_a_media_library_has_one_home(library, home):
    assert importers_of(library).keys() <= set(home.split())


@pytest.mark.parametrize("library", ["torch", "transformers", "datasets", "openai", "lance", "ray", "fastapi", "vllm"])
def test_heavy_libraries_are_imported_when_used(library):
    paths = [*MODULES, *CATALOGUE]
    allowed = {
        "media/_torchcodec.py",
        "media/_lance.py",
        "media/_dali.py",
        "inference/ray_cluster.py",
        "server/app.py",
        "server/ui.py",
    }
    assert importers_of(library, paths, only_at_import=True).keys() <= allowed


def test_pure_modules_touch_no_files_network_or_clock():
    forbidden = {"os", "io", "pathlib", "time", "datetime", "socket", "urllib", "subprocess", "threading", "PIL"}
    wrong = [
        f"{path.name}:{line} imports {module}"
        for path in MODULES
        if path.relative_to(PACKAGE).as_posix().startswith(PURE)
        for module, line in imports_of(path)
        if module.split(".")[0] in forbidden
    ]
    assert not wrong


# --- importing ----------------------------------------------------------------------------------------------------


def run_python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_plugin_costs_nothing_in_a_project_without_documents():
    loaded = run_python(
        "import sys, pytest_lmms.plugin as plugin, importlib\n"
        "[importlib.import_module(name) for name in plugin.pytest_plugins]\n"
        "print(*{name.split('.')[0] for name in sys.modules})"
    ).split()
    heavy = {"torch", "transformers", "datasets", "numpy", "scipy", "PIL", "yaml", "openai", "av", "jinja2", "pandas"}
    assert not heavy & set(loaded)


def test_no_plugin_is_imported_by_one_listed_before_it():
    """Pytest 8 warns of each: "Module already imported so cannot be rewritten"."""
    early = run_python(
        "import sys, pytest_lmms.plugin as plugin, importlib\n"
        "for name in plugin.pytest_plugins:\n"
        "    if name in sys.modules:\n"
        "        print(name)\n"
        "    importlib.import_module(name)\n"
    ).split()
    assert not early, f"list them earlier in pytest_plugins of pytest_lmms/plugin/__init__.py: {early}"


def test_every_module_imports_alone():
    """Each with an empty module table: no module relies on another one having been imported before."""
    names = [name_of(p) for p in MODULES if p.name != "__main__.py" and p.stem not in OPTIONAL]
    output = run_python(
        "import importlib, sys\n"
        f"for name in {names!r}:\n"
        "    for known in [m for m in sys.modules if m.split('.')[0] == 'pytest_lmms']:\n"
        "        del sys.modules[known]\n"
        "    try:\n"
        "        importlib.import_module(name)\n"
        "    except Exception as error:\n"
        "        print(name, repr(error))\n"
    )
    assert not output, output


OPTIONAL = {"_torchcodec", "_lance", "_dali", "_decord", "_pdfium"}
"""Need an extra that is not always installed."""


# --- documentation ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_module_says_what_it_is(path):
    assert ast.get_docstring(tree_of(path))


def test_every_hook_says_when_and_where_it_is_called():
    hooks = [n for n in tree_of(PACKAGE / "hookspecs.py").body if isinstance(n, ast.FunctionDef)]
    assert hooks
    for hook in hooks:
        assert hook.name.startswith("pytest_lmms_")
        text = ast.get_docstring(hook) or ""
        assert re.search(r"\bWhen: \w", text), hook.name
        assert re.search(r"\bWhere: .*(controller|worker)", text), hook.name
        for argument in hook.args.args:
            assert f"{argument.arg}: " in text, f"{hook.name} does not explain {argument.arg}"


def test_every_option_has_a_help_text_and_a_field():
    from pytest_lmms.config import OPTIONS, RunConfig

    for option in OPTIONS:
        assert len(option.help.split()) > 2, option.option
        assert option.name in RunConfig.__dataclass_fields__, option.option
        assert (option.metavar is None) == (option.kind == "flag"), option.option
    assert len({o.name for o in OPTIONS}) == len(OPTIONS)


# --- one fact, one place ------------------------------------------------------------------------------------------


def test_no_function_is_copied_in_benchmarks_and_models():
    """A second use moves a helper to `scoring/`, `tasks/` or a shared file of `models/`."""
    seen: dict[str, str] = {}
    copies = []
    for path in CATALOGUE:
        for node in ast.walk(tree_of(path)):
            if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            source = "\n".join(ast.unparse(statement) for statement in body)
            if source.count("\n") + 1 < MIN_COPIED_LINES:
                continue
            place = f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
            if source in seen:
                copies.append(f"{place} is {seen[source]}")
            seen.setdefault(source, place)
    assert not copies, "\n".join(copies)


def test_adapters_name_no_benchmark_and_benchmarks_no_adapter():
    benchmarks = {p.name for p in (ROOT / "benchmarks").iterdir() if p.is_dir()}
    adapters = {p.stem for p in (ROOT / "models").glob("[a-z]*.py")} - {"openai", "dummy", "scripted"}
    for folder, names in (("models", benchmarks), ("benchmarks", adapters)):
        for path in (ROOT / folder).rglob("*.py"):
            words = set(re.findall(r"\w+", path.read_text(encoding="utf-8").lower()))
            assert not words & names, path.relative_to(ROOT)

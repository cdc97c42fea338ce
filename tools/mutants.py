"""Change one thing at a time in modules whose numbers people rely on, and see which changes no test notices.

    python tools/mutants.py                       all modules
    python tools/mutants.py --only scoring        those whose path holds a text
    python tools/mutants.py --more                other changes: calls and whole statements
    python tools/mutants.py --write docs/mutants.md

Each mutant is tried in a forked process that has pytest and the libraries loaded already. A mutant is a comparison,
an operator, a number, a truth value or a `not` that became another one; with `--more`, a smallest that became a
largest, two arguments that changed places, or a statement that is gone. What survives is either a test that is missing
or a change that means the same; `REASONS` says which of the latter are known.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SUBJECTS = {
    "pytest_lmms/scoring/choices.py": ["tests/scoring/test_choices.py"],
    "pytest_lmms/stats/bootstrap.py": ["tests/stats"],
    "pytest_lmms/stats/intervals.py": ["tests/stats"],
    "pytest_lmms/stats/multiplicity.py": ["tests/stats"],
    "pytest_lmms/stats/numbers.py": ["tests/stats"],
    "pytest_lmms/stats/paired.py": ["tests/stats"],
    "pytest_lmms/stats/planning.py": ["tests/stats"],
    "pytest_lmms/stats/stability.py": ["tests/stats"],
    "pytest_lmms/results/gate.py": ["tests/results/test_gate_decisions.py", "tests/results/test_gate.py"],
    "pytest_lmms/results/decide.py": ["tests/results/test_gate_decisions.py", "tests/results/test_gate.py"],
    "pytest_lmms/results/verdict.py": ["tests/results/test_gate_decisions.py", "tests/results/test_gate.py"],
    "pytest_lmms/results/comparison.py": [
        "tests/results/test_gate_decisions.py",
        "tests/results/test_gate.py",
        "tests/results/test_compare.py",
    ],
    "pytest_lmms/results/resampled.py": ["tests/results/test_own_aggregations.py"],
    "pytest_lmms/results/rules.py": ["tests/results/test_rules.py", "tests/results/test_gate.py"],
}
"""Module -> the tests that are to notice."""
LIMIT_SECONDS = 300
"""A mutant that hangs is noticed; so long that a busy machine is not taken for one."""
LIBRARIES = ("pytest", "hypothesis", "yaml", "orjson", "numpy", "scipy.stats")
"""Loaded before forking: half of a mutant's time would be theirs."""
COMPARISONS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
OPERATORS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Pow: ast.Mult,
    ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip


def changes(node: ast.AST) -> Iterator[tuple[str, object, object]]:
    """(field, new value, index or None) of each way to change one node."""
    if isinstance(node, ast.Compare):
        for i, op in enumerate(node.ops):
            if type(op) in COMPARISONS:
                yield "ops", COMPARISONS[type(op)](), i
    elif isinstance(node, (ast.BinOp, ast.BoolOp)) and type(node.op) in OPERATORS:
        yield "op", OPERATORS[type(node.op)](), None
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield "value", not node.value, None
    elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        yield "value", node.value + 1, None
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "op", ast.UAdd(), None  # +x is as true as x
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield "op", ast.UAdd(), None


OPPOSITES = {"min": "max", "max": "min", "any": "all", "all": "any"}


def more_changes(node: ast.AST) -> Iterator[tuple[str, object, object]]:
    """As `changes`, of calls and of statements."""
    if isinstance(node, ast.Name) and node.id in OPPOSITES:
        yield "id", OPPOSITES[node.id], None
    elif isinstance(node, ast.Call) and len(node.args) > 1 and ast.unparse(node.func) not in OPPOSITES:
        if any(isinstance(argument, ast.Starred) for argument in node.args[:2]):
            return
        yield "args", [node.args[1], node.args[0], *node.args[2:]], None
    elif isinstance(node, (ast.FunctionDef, ast.For, ast.While, ast.With, ast.If)):
        for i, statement in enumerate(node.body):
            is_docstring = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
            if isinstance(statement, (ast.Expr, ast.AugAssign, ast.Raise, ast.If, ast.Continue)) and not is_docstring:
                yield "body", ast.Pass(), i


def is_behaviour(tree: ast.Module) -> set[int]:
    """Ids of nodes that run: no annotations, and no decorators."""
    skipped: set[int] = set()
    for node in ast.walk(tree):
        parts = [getattr(node, "annotation", None), getattr(node, "returns", None)]
        for part in [p for p in (*parts, *getattr(node, "decorator_list", ())) if p is not None]:
            skipped |= {id(n) for n in ast.walk(part)}
    return {id(n) for n in ast.walk(tree)} - skipped


def mutants(source: str, *, more: bool = False) -> Iterator[tuple[int, str, ast.Module]]:
    """(line, what became what, tree) of every mutant."""
    ways = more_changes if more else changes
    tree = ast.parse(source)
    runs = is_behaviour(tree)
    for position, node in enumerate(ast.walk(tree)):
        for field, value, index in ways(node) if id(node) in runs else ():
            mutant = copy.deepcopy(tree)
            target = next(n for i, n in enumerate(ast.walk(mutant)) if i == position)
            if index is None:
                setattr(target, field, value)
            else:
                getattr(target, field)[index] = value
            ast.fix_missing_locations(target)
            shown, changed = (getattr(node, field)[index], value) if field == "body" else (node, target)
            before, after = (ast.unparse(part).partition("\n")[0] for part in (shown, changed))
            yield shown.lineno, f"`{before}` -> `{after}`", mutant


def survives(path: Path, mutant: ast.Module, tests: list[str]) -> bool:
    """Whether the tests pass with a mutant in place of a module."""
    child = os.fork()
    if child == 0:
        os.setsid()
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
        code = 1
        try:
            code = run_tests(path, mutant, tests)
        finally:
            os._exit(code)
    deadline = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status == 0
        time.sleep(0.005)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False  # a test that does not end has noticed


def run_tests(path: Path, mutant: ast.Module | None, tests: list[str]) -> int:
    """Pytest's exit code; the module is executed where it would be imported, before anybody takes names from it."""
    import pytest
    from hypothesis import settings

    settings.register_profile("mutants", database=None, max_examples=25, derandomize=True, deadline=None)
    settings.load_profile("mutants")
    if mutant is not None:
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for known in [m for m in sys.modules if m.startswith("pytest_lmms.")]:
            del sys.modules[known]
        finder = _Mutated(name, compile(mutant, str(path), "exec"))
        sys.meta_path.insert(0, finder)
        importlib.invalidate_caches()
    # Plain assertions: pytest's hook that rewrites them would import our modules before the mutant can be.
    arguments = ["-q", "-x", "--assert=plain", "-p", "no:cacheprovider", "-p", "no:xdist"]
    return int(pytest.main([*arguments, *(str(ROOT / t) for t in tests)]))


class _Mutated:
    """Imports one module from code that is not its file's."""

    def __init__(self, name: str, code: object) -> None:
        self.name, self.code = name, code

    def find_spec(self, name: str, *_: object) -> object:
        """The module, if it is the one."""
        from importlib.machinery import ModuleSpec

        return ModuleSpec(name, self) if name == self.name else None

    def create_module(self, spec: object) -> None:
        """The default kind."""

    def exec_module(self, module: object) -> None:
        """Run the mutant."""
        exec(self.code, module.__dict__)  # type: ignore[call-overload]


def main() -> int:
    """Print survivors; the exit code is 1 where the tests fail without any mutant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="a part of the module's path")
    parser.add_argument("--write", type=Path, help="a Markdown file for the survivors")
    parser.add_argument("--more", action="store_true", help="change calls and statements instead")
    parsed = parser.parse_args()
    os.chdir(ROOT)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # threads do not survive a fork
    for library in LIBRARIES:
        importlib.import_module(library)

    lines = []
    for name, tests in SUBJECTS.items():
        if parsed.only not in name:
            continue
        source = (ROOT / name).read_text(encoding="utf-8")
        if not survives(ROOT / name, ast.parse(source), tests):
            print(f"{name}: the tests fail as it is")
            return 1
        total, left = 0, []
        for line, what, mutant in mutants(source, more=parsed.more):
            total += 1
            if survives(ROOT / name, mutant, tests):
                left.append((line, what))
                print(f"  {name}:{line}: {what}", flush=True)
        print(f"{name}: {total} mutants, {len(left)} survive", flush=True)
        lines.append(f"\n## {name}\n\n{total} mutants, {len(left)} survive.\n")
        for line, what in left:
            lines.append(f"- line {line}: {what}")
    if parsed.write:
        parsed.write.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What the package imports as soon as it is imported is what its installation brings by itself."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OWN = {"pytest_lmms", "models", "benchmarks"}
MODULES = {"pillow": "PIL", "pytest-xdist": "xdist", "pyyaml": "yaml", "huggingface-hub": "huggingface_hub"}
"""Names of modules by distribution, where they differ."""
OF_EXTRAS = {
    "pytest_lmms/media/_dali.py": {"nvidia"},
    "pytest_lmms/media/_decord.py": {"decord"},
    "pytest_lmms/media/_lance.py": {"lance", "pyarrow"},
    "pytest_lmms/media/_pdfium.py": {"pypdfium2"},
    "pytest_lmms/media/_torchcodec.py": {"torchcodec"},
    "pytest_lmms/server/app.py": {"fastapi"},
    "pytest_lmms/server/again.py": {"uvicorn"},
    "pytest_lmms/server/heads.py": {"uvicorn"},
    "pytest_lmms/server/schema.py": {"pydantic"},
    "pytest_lmms/server/ui.py": {"fastapi", "pydantic"},
}
"""What modules import that are themselves imported only where an extra is asked for."""


def imported_at_once(path):
    """Top-level packages that importing a module imports; not those in functions, `try` and `if TYPE_CHECKING`."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module.partition(".")[0])
    return found - OWN - sys.stdlib_module_names


def declared():
    names = (re.match(r"[\w.-]+", text)[0] for text in PROJECT["dependencies"])
    return {MODULES.get(name, name) for name in names}


def test_modules_import_at_once_only_what_an_installation_without_extras_brings():
    known = declared()
    missing = []
    for path in sorted((ROOT / "pytest_lmms").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        missing += [(name, module) for module in sorted(imported_at_once(path) - known - OF_EXTRAS.get(name, set()))]
    assert missing == []

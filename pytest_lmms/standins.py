"""Modules of lmms-eval that people's task files import, where lmms-eval is not installed: ours, under its names.

Only what is listed here is there; an installed lmms-eval always comes first.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType

PACKAGE = "lmms_eval"
STANDINS = {
    PACKAGE: None,
    "lmms_eval.llm_judge": "pytest_lmms.llm_judge",
    "lmms_eval.llm_judge.base": "pytest_lmms.llm_judge.servers",
    "lmms_eval.llm_judge.factory": "pytest_lmms.llm_judge.servers",
    "lmms_eval.llm_judge.protocol": "pytest_lmms.llm_judge.protocol",
    "lmms_eval.llm_judge.utils": "pytest_lmms.llm_judge.wording",
}
"""Name -> the module whose names it has; None is an empty package."""


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Asked last, so that it finds only what nobody else does."""

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder`."""
        if fullname not in STANDINS:
            return None
        is_package = any(name.startswith(f"{fullname}.") for name in STANDINS)
        return importlib.machinery.ModuleSpec(fullname, self, origin="pytest-lmms", is_package=is_package)

    def exec_module(self, module: ModuleType) -> None:
        """See `importlib.abc.Loader`."""
        ours = STANDINS[module.__name__]
        if ours is not None:
            found = vars(importlib.import_module(ours))
            vars(module).update({name: value for name, value in found.items() if not name.startswith("__")})


_FINDER = _Finder()


def install() -> None:
    """Have them found from now on; a second call does nothing."""
    if _FINDER not in sys.meta_path:
        sys.meta_path.append(_FINDER)

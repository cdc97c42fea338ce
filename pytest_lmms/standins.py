"""Modules of lmms-eval that people's task files import, where lmms-eval is not installed: ours, under its names.

Only what is listed here is there; an installed lmms-eval always comes first. Task files in a checkout of lmms-eval find
the other modules of its tasks folder, too.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

PACKAGE = "lmms_eval"
TASKS = f"{PACKAGE}.tasks"
STANDINS = {
    PACKAGE: None,
    "lmms_eval.api": None,
    "lmms_eval.api.filter": "pytest_lmms.task_utils.filters",
    "lmms_eval.api.metrics": "pytest_lmms.task_utils.answers",
    "lmms_eval.filters": "pytest_lmms.task_utils.filters",
    "lmms_eval.filters.extraction": "pytest_lmms.task_utils.filters",
    "lmms_eval.filters.transformation": "pytest_lmms.task_utils.filters",
    "lmms_eval.llm_judge": "pytest_lmms.llm_judge",
    "lmms_eval.llm_judge.base": "pytest_lmms.llm_judge.servers",
    "lmms_eval.llm_judge.factory": "pytest_lmms.llm_judge.servers",
    "lmms_eval.llm_judge.protocol": "pytest_lmms.llm_judge.protocol",
    "lmms_eval.llm_judge.utils": "pytest_lmms.llm_judge.wording",
    TASKS: None,
    f"{TASKS}._task_utils": None,
    f"{TASKS}._task_utils.default_template_yaml": "pytest_lmms.task_utils.files",
    f"{TASKS}._task_utils.file_utils": "pytest_lmms.task_utils.files",
    f"{TASKS}._task_utils.media_resolver": "pytest_lmms.media.resolve",
    f"{TASKS}._task_utils.mmmu_mcq_utils": "pytest_lmms.task_utils.answers",
    f"{TASKS}._task_utils.reasoning_utils": "pytest_lmms.task_utils.reasoning",
    f"{TASKS}._task_utils.video_loader": "pytest_lmms.task_utils.files",
    f"{TASKS}._task_utils.vqa_eval_metric": "pytest_lmms.task_utils.answers",
    "lmms_eval.utils": "pytest_lmms.task_utils.log",
}
"""Name -> the module whose names it has; None is an empty package."""


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Asked last, so that it finds only what nobody else does."""

    def __init__(self) -> None:
        """Know no checkout."""
        self.task_folders: list[str] = []
        """Tasks folders of checkouts: where the package of tasks looks for its modules."""

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder`."""
        if fullname not in STANDINS:
            return None
        is_package = any(name.startswith(f"{fullname}.") for name in STANDINS)
        spec = importlib.machinery.ModuleSpec(fullname, self, origin="pytest-lmms", is_package=is_package)
        if fullname == TASKS:
            spec.submodule_search_locations = self.task_folders
        return spec

    def exec_module(self, module: ModuleType) -> None:
        """See `importlib.abc.Loader`."""
        ours = STANDINS[module.__name__]
        if ours is not None:
            found = vars(importlib.import_module(ours))
            vars(module).update({name: value for name, value in found.items() if not name.startswith("__")})


_FINDER = _Finder()


def install(file: Path | None = None) -> None:
    """Have them found from now on; a second call does nothing.

    Args:
        file: A task's file. Where it lies in the tasks folder of a checkout, that folder's modules are found as well.
    """
    if _FINDER not in sys.meta_path:
        sys.meta_path.append(_FINDER)
    for folder in file.resolve().parents if file else ():
        if (folder.parent.name, folder.name) == tuple(TASKS.split(".")) and str(folder) not in _FINDER.task_folders:
            _FINDER.task_folders.append(str(folder))

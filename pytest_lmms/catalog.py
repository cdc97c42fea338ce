"""Where the catalogue (`benchmarks/`, `models/`, `configs/`) lies, and how its files load.

In a checkout they are folders beside the package; in an installed wheel they are
`pytest_lmms/_catalog/...`.
Files load by path, under names of our own: `sys.path` is never touched, so a user's own `models/`
or `utils.py` neither hides ours nor is hidden by it. Knows nothing about what the files contain.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.machinery
import importlib.util
import os
import re
import sys
import threading
from pathlib import Path
from types import ModuleType

from pytest_lmms.errors import UsageError, did_you_mean, explain

_MODELS_PACKAGE = "pytest_lmms._models"
_LOOSE_PACKAGE = "pytest_lmms._files"
_FOLDERS = ("benchmarks", "models", "configs")
_lock = threading.RLock()


def root() -> Path:
    """Return the folder that holds `benchmarks/`, `models/` and `configs/`.

    Returns:
        `pytest_lmms/_catalog` where a wheel put it, else the root of the checkout that this
        package is in.

    Raises:
        UsageError: Neither is there: the installation is incomplete.
    """
    package = Path(__file__).resolve().parent
    installed = package / "_catalog"
    if installed.is_dir():
        return installed
    checkout = package.parent
    if (checkout / "models").is_dir() and (checkout / "benchmarks").is_dir():
        return checkout
    raise UsageError(
        explain(
            "the benchmarks and models that belong to pytest-lmms are missing",
            where=str(package),
            expected=f"{installed}, or benchmarks/ and models/ in {checkout}",
            remedy="install pytest-lmms again: pip install --force-reinstall pytest-lmms",
        )
    )


def folder(name: str) -> Path:
    """Return one folder of the catalogue.

    Args:
        name: ``benchmarks``, ``models`` or ``configs``.

    Raises:
        UsageError: Another name, or the folder is missing.
    """
    if name not in _FOLDERS:
        raise UsageError(
            explain(
                f"the catalogue has no folder {name!r}",
                expected=", ".join(_FOLDERS),
                suggestion=did_you_mean(name, _FOLDERS),
            )
        )
    path = root() / name
    if not path.is_dir():
        raise UsageError(explain(f"the catalogue's folder {name!r} is missing", where=str(path)))
    return path


def import_model_module(name: str) -> ModuleType:
    """Import a file of `models/`, e.g. ``qwen2_5_vl``, as `pytest_lmms._models.qwen2_5_vl`.

    Files there import one another relatively: ``from .transformers_chat import TransformersChat``.

    Raises:
        UsageError: No such file.
        ImportError: The file imports something that is not installed.
    """
    models = folder("models")
    parent = package_for(models, name=_MODELS_PACKAGE)
    qualified = f"{parent}.{name}"
    try:
        return importlib.import_module(qualified)
    except ModuleNotFoundError as error:
        if error.name != qualified:
            raise
        known = sorted(path.stem for path in models.glob("*.py") if path.stem != "__init__")
        raise UsageError(
            explain(
                f"models/ has no file {name}.py",
                where=str(models),
                expected=", ".join(known),
                suggestion=did_you_mean(name, known),
            )
        ) from None


def import_file(path: str | os.PathLike[str], *, package: str | None = None) -> ModuleType:
    """Import any Python file by its path.

    Args:
        path: The file. It is imported once; a second call returns the same module.
        package: Qualified name of the package that its folder becomes. None: a name made from the
            folder's path, so that two folders' `utils.py` stay apart. Files of one folder can
            import one another relatively.

    Returns:
        The module, registered in `sys.modules` as ``<package>.<file name>``.

    Raises:
        UsageError: No such file, or not a Python file.
        Exception: Whatever the file raises when it runs; nothing stays registered then.
    """
    file = Path(os.path.abspath(path))
    if file.suffix != ".py" or not file.is_file():
        problem = "no such file" if not file.exists() else "this is not a Python file (*.py)"
        raise UsageError(explain(problem, where=str(path)))
    parent = package_for(file.parent, name=package)
    qualified = f"{parent}.{file.stem}"
    with _lock:
        known = sys.modules.get(qualified)
        if known is not None and getattr(known, "__file__", None) == str(file):
            return known
        spec = importlib.util.spec_from_file_location(qualified, file)
        if spec is None or spec.loader is None:
            raise UsageError(explain("this file cannot be imported", where=str(path)))
        module = importlib.util.module_from_spec(spec)
        sys.modules[qualified] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            sys.modules.pop(qualified, None)
            raise
        setattr(sys.modules[parent], file.stem, module)
        return module


def package_for(directory: Path, *, name: str | None = None) -> str:
    """Register a folder as a package without an `__init__.py`, and return the package's name.

    Args:
        directory: The folder whose files become the package's modules.
        name: Qualified name, below `pytest_lmms`; None makes one from the path.

    Raises:
        UsageError: The name already stands for another folder.
    """
    location = os.path.abspath(directory)
    if name is None:
        digest = hashlib.sha256(location.encode()).hexdigest()[:12]
        readable = re.sub(r"\W", "_", os.path.basename(location)) or "root"
        name = f"{_LOOSE_PACKAGE}.{readable}_{digest}"
    with _lock:
        parent, _, last = name.rpartition(".")
        if parent and parent not in sys.modules:
            _register(parent, [])
        known = sys.modules.get(name)
        if known is None:
            module = _register(name, [location])
            if parent:
                setattr(sys.modules[parent], last, module)
        elif list(known.__path__) != [location]:
            raise UsageError(
                explain(
                    f"the package {name} is already {list(known.__path__)}",
                    where=location,
                    remedy="give this folder another package name",
                )
            )
    return name


def _register(name: str, path: list[str]) -> ModuleType:
    spec = importlib.machinery.ModuleSpec(name, loader=None, is_package=True)
    spec.submodule_search_locations = path
    module = importlib.util.module_from_spec(spec)
    module.__path__ = path
    sys.modules[name] = module
    return module

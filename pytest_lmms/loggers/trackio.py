"""Trackio, Hugging Face's tracker: numbers and settings of a run, in a local database or a Space."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_lmms.loggers import scalars, settings

LIBRARY = "trackio"


def log(
    results: Mapping[str, Any],
    run_folder: Path,
    *,
    project: str = "pytest-lmms",
    name: str | None = None,
    space_id: str | None = None,
) -> str:
    """Log a finished run.

    Args:
        results: What results.json holds.
        run_folder: Where it lies.
        project: Of Trackio.
        name: Of the run; the run folder's by default.
        space_id: Of the Hub, to show it there; None keeps it on this machine.
    """
    trackio: Any = importlib.import_module("trackio")
    name = str(name or run_folder.name)
    trackio.init(project=project, name=name, space_id=space_id, config=settings(results), embed=False)
    try:
        trackio.log(dict(scalars(results)))
    finally:
        trackio.finish()
    return f"trackio: {name} in project {project}" + (f", Space {space_id}" if space_id else "")

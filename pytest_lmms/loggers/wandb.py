"""Weights & Biases: numbers in the summary, settings as the configuration, results.json as a file of the run.

`WANDB_MODE=offline`, or the argument `mode=offline`, writes below `folder` and needs no account.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_lmms.loggers import scalars, settings

LIBRARY = "wandb"


def log(
    results: Mapping[str, Any],
    run_folder: Path,
    *,
    project: str = "pytest-lmms",
    name: str | None = None,
    entity: str | None = None,
    group: str | None = None,
    mode: str | None = None,
    folder: str | None = None,
) -> str:
    """Log a finished run.

    Args:
        results: What results.json holds.
        run_folder: Where it lies.
        project: Of W&B.
        name: Of the run; the run folder's by default.
        entity: User or team; the account's own by default.
        group: Puts runs together.
        mode: `online`, `offline` or `disabled`; None leaves it to `WANDB_MODE`.
        folder: Where W&B keeps its files; the run folder by default.
    """
    wandb: Any = importlib.import_module("wandb")
    run = wandb.init(
        project=project,
        name=str(name or run_folder.name),
        entity=entity,
        group=group,
        mode=mode,
        dir=str(folder or run_folder),
        config=settings(results),
        job_type="evaluation",
        settings=wandb.Settings(
            silent=True,
            console="off",  # the terminal is pytest's
            reinit="create_new",
            x_disable_meta=True,  # it would tell the command line, keys included; run.json tells it without
        ),
    )
    try:
        run.log(dict(scalars(results)))
        run.save(str(run_folder / "results.json"), base_path=str(run_folder), policy="now")
    finally:
        run.finish()
    return f"wandb: {run.url or run.dir}"

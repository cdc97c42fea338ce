"""What task files take from `utils`: where they log, how they name models and folders."""

from __future__ import annotations

import re

from loguru import logger as eval_logger

from pytest_lmms.task_utils.files import resolve_cache_dir

__all__ = ["eval_logger", "resolve_cache_dir", "sanitize_model_name"]


def sanitize_model_name(model_name: str, full_path: bool = False) -> str:  # noqa: FBT001, FBT002 (lmms-eval's)
    """Return a model's name with ``__`` for what no file name holds.

    Args:
        model_name: A path, or a name of the Hub.
        full_path: Whether to keep all of it, not only its last two parts.
    """
    kept = model_name if full_path else "/".join(model_name.split("/")[-2:])
    return re.sub(r"[\"<>:/|\\?*\[\]]+", "__", kept)

"""The Hugging Face Hub: results, records and run.json of a run, in a folder of a dataset repository."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_lmms.results.access import check_hub

LIBRARY = "huggingface_hub"
_FILES = ["results.json", "run.json"]
_RECORDS = ["samples_*.jsonl", "records_*.parquet"]


def check(where: str, *, repo: str, **_arguments: Any) -> None:
    """Find a token that may write to the repository; see `log`."""
    check_hub(str(repo).partition("/")[0], where)


def log(
    results: Mapping[str, Any],
    run_folder: Path,
    *,
    repo: str,
    private: bool = True,
    samples: bool = True,
    revision: str | None = None,
) -> str:
    """Push a finished run.

    Args:
        results: What results.json holds.
        run_folder: Where it lies; its name is the folder's in the repository.
        repo: `owner/name`; made when there is none.
        private: Of a repository that is made.
        samples: Whether records are pushed, which hold prompts and answers; results and run.json always are.
        revision: A branch; None is the main one.
    """
    hub: Any = importlib.import_module("huggingface_hub")
    api = hub.HfApi()
    api.create_repo(repo, repo_type="dataset", private=private, exist_ok=True)
    model = (results.get("config") or {}).get("model")
    info = api.upload_folder(
        repo_id=repo,
        repo_type="dataset",
        folder_path=str(run_folder),
        path_in_repo=run_folder.name,
        allow_patterns=_FILES + (_RECORDS if samples else []),
        revision=revision,
        commit_message=f"pytest-lmms: {model}, {', '.join(sorted(results.get('results', {}))[:5])}",
    )
    return f"hub: {info.commit_url}"

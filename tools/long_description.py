"""A build hook: README as PyPI shows it, its links and its picture pointing into the repository of the release.

On GitHub Actions the environment says which repository and which commit that is. Anywhere else they stay as they are.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_RELATIVE = re.compile(r"(!?)(\[[^\]]*\])\((?!\w+:|#|/)([^)\s]+)\)")


class LongDescription(MetadataHookInterface):
    """Gives the project its `readme` and `urls`."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Fill them in."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        repository = repository_of(os.environ)
        if repository is not None:
            text = absolute(text, repository, os.environ["GITHUB_SHA"])
            metadata["urls"] = {"Source": repository, "Issues": f"{repository}/issues"}
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


def repository_of(environ: Mapping[str, str]) -> str | None:
    """The address of the repository that a build runs for; None where nobody says."""
    if not all(environ.get(name) for name in ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_SHA")):
        return None
    return f"{environ['GITHUB_SERVER_URL']}/{environ['GITHUB_REPOSITORY']}"


def absolute(text: str, repository: str, commit: str) -> str:
    """Markdown whose relative links show files of a commit, and whose pictures are their bytes."""

    def link(match: re.Match[str]) -> str:
        return f"{match[1]}{match[2]}({repository}/{'raw' if match[1] else 'blob'}/{commit}/{match[3]})"

    return _RELATIVE.sub(link, text)

"""The files of a git repository as they were at a revision, for comparing tasks of today with those of then."""

from __future__ import annotations

import contextlib
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from pytest_lmms.errors import UsageError, explain


@contextlib.contextmanager
def files_at(revision: str) -> Iterator[Callable[[Path], Path | None]]:
    """Give access to files as a revision holds them; the working tree and the repository stay as they are.

    A repository is unpacked whole, once, into a temporary folder, so that what a file includes or imports beside it
    is of the same revision.

    Args:
        revision: What `git rev-parse` understands: a branch, a tag, a commit, `HEAD~1`.

    Yields:
        A function from a path of today to that of then; None where the revision has no such file.
    """
    unpacked: dict[Path, Path] = {}
    with tempfile.TemporaryDirectory(prefix="pytest-lmms-") as folder:

        def then(path: Path) -> Path | None:
            path = path.resolve()
            top = Path(_git(path.parent, revision, "rev-parse", "--show-toplevel").decode().strip()).resolve()
            if top not in unpacked:
                unpacked[top] = Path(folder, str(len(unpacked)))
                _unpack(top, revision, unpacked[top])
            old = unpacked[top] / path.relative_to(top)
            return old if old.is_file() else None

        yield then


def _unpack(top: Path, revision: str, target: Path) -> None:
    commit = _git(top, revision, "rev-parse", "--verify", "--quiet", "--end-of-options", revision + "^{commit}")
    with tempfile.TemporaryFile() as file:
        file.write(_git(top, revision, "archive", "--format=tar", commit.decode().strip()))
        file.seek(0)
        with tarfile.open(fileobj=file) as tar:
            tar.extractall(target, filter="data")


def _git(folder: Path, revision: str, *arguments: str) -> bytes:
    where = f"--diff {revision}"
    expected = "a file that --write wrote, or a revision of the git repository that the task lies in"
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, check=False)  # noqa: S603, S607
    except FileNotFoundError:
        raise UsageError(explain("no such file, and git is not installed", where=where, expected=expected)) from None
    if done.returncode:
        why = done.stderr.decode(errors="replace").strip() or f"{folder} has no such revision"
        raise UsageError(explain(f"no such file, and no such revision: {why}", where=where, expected=expected))
    return done.stdout

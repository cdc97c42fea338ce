"""METEOR 1.5 (Denkowski and Lavie, 2014), counted by its authors' Java program, as COCO's evaluation runs it.

The program and its tables of paraphrases come with pycocoevalcap, the extra `meteor`; nothing else of that package is
used. What it counts of a caption is a row of numbers. The score of many captions is that of the rows' sum, which is
computed here, so that captions can be drawn again without asking the program again.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib.util
import math
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from pytest_lmms.errors import LmmsError, explain

ALPHA, BETA, GAMMA, DELTA = 0.85, 0.2, 0.6, 0.75
"""Weight of recall, two of the penalty for order, and weight of words that carry content: the program's for English."""
STAGES = (1.0, 0.6, 0.8, 0.6)
"""What a match counts: the same word, the same stem, a synonym, a paraphrase."""
NUM_COUNTS, CHUNKS = 23, 20
"""Numbers of a row, and the place of one of them."""
START_SECONDS, LINE_SECONDS = 120.0, 0.5
"""How long the program may take: a hundred times what it does."""


class MeteorError(LmmsError):
    """The program did not do its work."""


def obstacle() -> str | None:
    """Why METEOR cannot be computed here, with the remedy; None where it can."""
    if _program() is None:
        return "its program is not installed: pip install 'pytest-lmms[meteor]'"
    if shutil.which("java") is None:
        return "it runs on Java (Debian: apt install default-jre-headless)"
    return None


def counts_of(captions: Sequence[tuple[Sequence[str], Sequence[Sequence[str]]]]) -> list[tuple[float, ...]]:
    """What METEOR counts of each caption against that reference which serves it best.

    Args:
        captions: Tokens of each caption, and those of its references.

    Returns:
        `NUM_COUNTS` numbers for each; `score_of` says what they mean. A caption that is its reference has no chunks,
        as order cannot be wrong in it.

    Raises:
        MeteorError: There is no program, or it fails.
    """
    asked = "".join(
        f"{' ||| '.join(['SCORE', *map(_words, references), _words(own)])}\n" for own, references in captions
    )
    return [(*row[:CHUNKS], 0.0, *row[CHUNKS + 1 :]) if _is_whole(row) else row for row in _counted(asked)]


def score_of(counts: Sequence[float]) -> float:
    """METEOR, 0 to 1, of the counts of one caption, or of their sums over many.

    Args:
        counts: Words of captions and references; function words of both; for each stage content words matched in
            captions and references, and function words likewise; chunks; words matched in captions and references.
    """
    length, reference_length, functions, reference_functions = counts[:4]
    chunks, matched, reference_matched = counts[CHUNKS:]
    hits = reference_hits = 0.0
    for stage, weight in enumerate(STAGES):
        content, reference_content, function, reference_function = counts[4 + 4 * stage : 8 + 4 * stage]
        hits += weight * (DELTA * content + (1 - DELTA) * function)
        reference_hits += weight * (DELTA * reference_content + (1 - DELTA) * reference_function)
    weight = DELTA * (length - functions) + (1 - DELTA) * functions
    reference_weight = DELTA * (reference_length - reference_functions) + (1 - DELTA) * reference_functions
    precision = hits / weight if weight else 0.0
    recall = reference_hits / reference_weight if reference_weight else 0.0
    if not precision * recall:
        return 0.0
    mean = precision * recall / (ALPHA * precision + (1 - ALPHA) * recall)
    fragmentation = chunks / ((matched + reference_matched) / 2)
    return mean * (1 - GAMMA * math.pow(fragmentation, BETA))


def _is_whole(row: Sequence[float]) -> bool:
    return row[CHUNKS:] == (1.0, row[0], row[1])


def _words(tokens: Sequence[str]) -> str:
    """One line's worth of words, without the marks between captions."""
    return " ".join(" ".join(tokens).replace("|||", "").split())


def _program() -> Path | None:
    package = importlib.util.find_spec("pycocoevalcap")
    for folder in (package.submodule_search_locations or ()) if package is not None else ():
        path = Path(folder, "meteor", "meteor-1.5.jar")
        if path.is_file():
            return path
    return None


@functools.lru_cache(maxsize=4)
def _counted(asked: str) -> tuple[tuple[float, ...], ...]:
    """What the program says of these lines; a task's value and its error ask for the same."""
    rows = tuple(tuple(map(float, line.split())) for line in _running().ask(asked))
    if any(len(row) != NUM_COUNTS for row in rows):
        raise MeteorError(
            explain("METEOR's program counts other things", where=str(_program()), expected="version 1.5")
        )
    return rows


class _Running:
    """The program at work, for as long as this process lives: half of the time of a small task is its start."""

    def __init__(self, program: Path, java: str) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  (a pipe that nobody reads would fill up)
        self._process = subprocess.Popen(  # noqa: S603
            [java, "-Xmx2G", "-Dfile.encoding=UTF-8", "-jar", program.name, "-", "-", "-stdio", "-l", "en", "-norm"],
            cwd=program.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, encoding="utf-8",
            errors="replace",
        )  # fmt: skip
        self._asking = threading.Lock()
        atexit.register(self.end)

    def ask(self, lines: str) -> list[str]:
        """A line said for each line asked.

        Raises:
            MeteorError: The program has ended, or says nothing for so long that it is ended.
        """
        with self._asking:
            number = lines.count("\n")
            limit = threading.Timer(START_SECONDS + number * LINE_SECONDS, self._process.kill)
            limit.daemon = True
            limit.start()
            threading.Thread(target=self._write, args=(lines,), daemon=True).start()
            assert self._process.stdout is not None  # noqa: S101
            said = [line for _ in range(number) if (line := self._process.stdout.readline())]
            limit.cancel()
            if len(said) == number:
                return said
        self.end()
        _running.cache_clear()
        self._errors.seek(0)
        errors = self._errors.read().decode(errors="replace").strip()[-500:]
        raise MeteorError(explain(f"METEOR's program ended with exit code {self._process.returncode}: {errors}"))

    def _write(self, lines: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # it has ended, which the reader sees
            assert self._process.stdin is not None  # noqa: S101
            self._process.stdin.write(lines)
            self._process.stdin.flush()

    def end(self) -> None:
        """Let it end, as it does when nothing more is to be asked."""
        with contextlib.suppress(OSError, ValueError):
            assert self._process.stdin is not None  # noqa: S101
            self._process.stdin.close()
        self._process.kill()
        self._process.wait()
        atexit.unregister(self.end)


@functools.cache
def _running() -> _Running:
    program, java = _program(), shutil.which("java")
    if program is None or java is None:
        raise MeteorError(f"METEOR: {obstacle()}")
    return _Running(program, java)

"""One line on a terminal while documents run: how many, how good so far, how fast, how long still."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

REDRAW_SECONDS = 0.1


class Progress:
    """One line that is redrawn on a terminal, and nothing elsewhere; a hook tells it to others."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
        writer = getattr(self.reporter, "_tw", None)
        is_terminal = writer is not None and bool(getattr(self.reporter, "isatty", False))
        self.is_shown = is_terminal and config.get_verbosity() == 0
        self.total = 0
        self.done = 0
        self.tokens = 0
        self.has_tokens = False
        self.scores: dict[str, list[float]] = {}
        self.statuses: Counter[str] = Counter()
        self.started: float | None = None
        self._drawn = 0.0
        self._width = 0

    def add(self, summary: dict[str, Any]) -> None:
        """Count a finished document."""
        now = time.monotonic()
        if self.started is None:
            self.started = now
        self.done += 1
        self.statuses[summary["status"]] += 1
        if summary["output_tokens"] is not None:
            self.tokens += summary["output_tokens"]
            self.has_tokens = True
        if isinstance(summary["score"], (int, float)):
            total = self.scores.setdefault(summary["task"], [0.0, 0])
            total[0] += summary["score"]
            total[1] += 1
        is_news = summary["status"] not in ("scored", "unscored") and self.statuses[summary["status"]] == 1
        if is_news or self.done == self.total or now - self._drawn > REDRAW_SECONDS:
            self._drawn = now
            self._tell(summary["task"], now)
            if self.is_shown:
                self._write(self.line(summary["task"], now))

    def _tell(self, task: str, now: float) -> None:
        progress = {
            "done": self.done,
            "total": self.total,
            "task": task,
            "seconds": now - (self.started or now),
            "statuses": dict(self.statuses),
            "scores": {name: total / n for name, (total, n) in self.scores.items()},
            "output_tokens": self.tokens if self.has_tokens else None,
        }
        self.config.hook.pytest_lmms_progressed(progress=progress)

    def line(self, task: str, now: float) -> str:
        """`[ 120/2374] mme 0.812 · 35.1 docs/s · 70 tokens/s · 1:04 left · 2 errors`."""
        elapsed = now - (self.started or now)
        parts = [f"[{self.done:>{len(str(self.total))}}/{self.total}] {task}"]
        if task in self.scores:
            parts[0] += f" {self.scores[task][0] / self.scores[task][1]:.3f}"
        if elapsed > 0:
            parts += self._rates(self.done / elapsed, self.tokens / elapsed)
        parts += [f"{n} {s}" for s, n in self.statuses.items() if s not in ("scored", "unscored")]
        return " · ".join(parts)

    def _rates(self, documents: float, tokens: float) -> list[str]:
        """How fast it goes, both per second, and how long it will take."""
        rates = [f"{documents:,.1f} docs/s"]
        if self.has_tokens:
            rates.append(f"{tokens:,.0f} tokens/s")
        if self.total > self.done:
            left = int((self.total - self.done) / documents)
            rates.append(f"{left // 60}:{left % 60:02} left")
        return rates

    def _write(self, text: str) -> None:
        writer = self.reporter._tw
        text = text[: max(20, writer.fullwidth - 1)]
        prints: Any = self.config.pluginmanager.get_plugin("lmms-print-log")
        with prints.uncaptured() if prints is not None else contextlib.nullcontext():
            writer.write("\r" + text.ljust(self._width))
            writer.flush()
        self._width = len(text)

    def clear(self) -> None:
        """Take the line away."""
        if self._width:
            self.reporter._tw.write("\r" + " " * self._width + "\r")
            self.reporter._tw.flush()
            self._width = 0

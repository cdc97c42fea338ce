"""Run after run at full rate: many requests in flight at a server that behaves, and one store that all runs fill.

Each run asks a model of its own name, so that nothing is answered from the store, which grows all the same. In each,
every question must arrive once and every document be scored by its own answer, and the last run may take no more
memory than the first but for what the store's index of earlier responses takes.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from tools.soak.bad_server import Memory
from tools.soak.chat import answer
from tools.soak.lab import Chat, Lab, Left

ANSWER_SECONDS = 1.0
"""How long the server takes for each; with 1,000 in flight it is no limit."""
MIB_IN_HAND = 64
"""MiB that come and go from run to run."""
MIB_OF_AN_ENTRY = 0.0005
"""MiB that the index takes for a response of an earlier run."""


def load(folder: Path, number: int, *, concurrent: int, minutes: float) -> list[str]:
    """Begin runs of so many documents for so long, at least two; prints a line for each.

    Returns:
        What is not as it must be.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chat = Chat(folder, pause_seconds=ANSWER_SECONDS, calm=True)
    end, wrong, peaks = time.monotonic() + minutes * 60, [], []
    try:
        lab = Lab(folder, chat, number)
        while len(peaks) < 2 or time.monotonic() < end:
            started, output = time.monotonic(), folder / "results"
            told = f"model=m{len(peaks)},num_concurrent={concurrent}"
            arguments = ["--lmms-model", "openai", "--lmms-model-args", told, "--lmms-cache", str(folder / "store")]
            process = lab.start(arguments, output)
            memory = Memory(process.pid, chat, number)
            memory.start()
            code = lab.finish(process, limit_seconds=3600 + number)
            memory.join()
            seconds = time.monotonic() - started
            peaks.append(max(mib for _, mib in memory.seen))
            found = _look(lab, output, number, code)
            wrong += [f"run {len(peaks)}: {what}" for what in found]
            print(
                f"run {len(peaks)}: {number:,} documents in {seconds:.0f} s, {number / seconds:.0f} a second, "
                f"{peaks[-1]:.0f} MiB, {len(found)} breaches",
                flush=True,
            )
            chat.forget()
            if not found:
                shutil.rmtree(output)
    finally:
        chat.kill()
    allowed = peaks[0] + MIB_IN_HAND + MIB_OF_AN_ENTRY * number * (len(peaks) - 1)
    if peaks[-1] > allowed:
        wrong.append(f"memory grows: {peaks[0]:.0f} MiB in the first run, {peaks[-1]:.0f} in the last")
    return wrong


def _look(lab: Lab, output: Path, number: int, code: int) -> list[str]:
    wrong = [f"exit code {code}: {lab.said()[-1000:]}"] if code else []
    try:
        records = Left(output).records()
    except (OSError, ValueError) as e:
        return [*wrong, f"{type(e).__name__}: {e}"]
    asked = lab.chat.asked()
    if asked != dict.fromkeys((f"q{i}" for i in range(number)), 1):
        wrong.append(f"{sum(asked.values())} questions arrived, {len(asked)} different ones, not each of {number} once")
    if [record["doc_id"] for record in records] != list(range(number)):
        wrong.append(f"{len(records)} records, not one of each of {number} documents in their order")
    if bad := [record["doc_id"] for record in records if not scored_by_its_own_answer(record)]:
        wrong.append(f"{len(bad)} records that are not scored by their own answers: {bad[:5]}")
    return wrong


def scored_by_its_own_answer(record: dict[str, Any]) -> bool:
    """Whether a record holds what the server says to its question, and the score of that."""
    question = f"q{record['doc_id']}"
    said = answer({"messages": [{"content": question}]})
    is_right = said == question.replace("q", "A")
    return bool(
        record["status"] == "scored" and record["filtered_resps"] == [said] and record["exact_match"] == is_right
    )

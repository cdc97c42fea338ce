"""The table of `media.py`: a group's readers one by one, and one line a group with the ratios that count."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

OURS = "pyav"
PLAN = "PyAV, only what the plan names"
PEER = "lmms-eval"
HEAD = (
    "| File: height, length, frames from one key frame to the next | Frames | ours, pyav | lmms-eval, PyAV "
    "| lmms-eval, TorchCodec, 8 threads | our TorchCodec | plan alone | quicker | ours / plan alone |"
)


def show(title: str, rows: list[dict[str, Any]]) -> None:
    """Print one group."""
    base = next((r for r in rows if r["median"]), None)
    pixels = next((r for r in rows if r["reader"] == OURS and r["median"]), base)
    print(f"\n**{title}**, {pixels['shape'][0] if pixels else 0} frames\n")
    print(
        "| Reader | ms | least ms | quicker than the first | pixels, against ours |\n| --- | ---: | ---: | ---: | --- |"
    )
    for row in rows:
        if row["median"] is None:
            if "No module" not in row["error"]:
                print(f"| {row['reader']} |  |  |  | {row['error'][:80]} |")
            continue
        print(
            f"| {row['reader']} | {row['median'] * 1000:.1f} | {least(row) * 1000:.1f} "
            f"| {base['median'] / row['median']:.2f} x | {compared(row, pixels)} |"
        )


def compared(row: dict[str, Any], ours: dict[str, Any]) -> str:
    """What a reader's frames are beside ours."""
    if row["all"] == ours["all"]:
        return "same"
    if row["shape"] != ours["shape"]:
        return f"{row['shape'][0]} frames"
    return "first frame same" if row["first"] == ours["first"] else "differ"


def least(row: dict[str, Any]) -> float:
    """The quickest turn, in seconds: what a busy machine disturbs least."""
    return min(row.get("rounds") or [row["median"]])


FIGURES: dict[str, Callable[[dict[str, Any]], float]] = {
    "median": lambda row: row["median"],
    "least": least,
    "cpu": lambda row: min(row.get("cpu_rounds") or [row["median"]]),
}
"""What a row's figure may be, in seconds: of the clock, in the middle or at best; of processors, at best."""


def summarise(groups: Iterable[tuple[str, list[dict[str, Any]]]], *, figure: str = "median") -> None:
    """Print one line a group, in milliseconds: ours against the better of lmms-eval's readers and against the plan.

    A reader of lmms-eval counts as the better one only where it gives the frames that ours gives. Where several numbers
    of threads were tried, lmms-eval's TorchCodec is the one with 8, ours the quickest, its threads in brackets.

    Args:
        groups: What names each, two columns, and its rows.
        figure: One of `FIGURES`.
    """
    time = FIGURES[figure]
    print(f"\n{HEAD}\n| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for label, rows in groups:
        there = [r for r in rows if r["median"]]
        ours = next((r for r in there if r["reader"] == OURS), None)
        if ours is None:
            continue
        pyav = [r for r in there if r["reader"].startswith(f"{PEER} pyav")]
        torchcodec = [r for r in there if r["reader"] == f"{PEER} torchcodec, 8 threads"]
        own = [r for r in there if r["reader"].startswith("torchcodec")]
        plan = [r for r in there if r["reader"] == PLAN]
        equal = [time(r) for r in (*pyav, *torchcodec) if r["all"] == ours["all"]]
        columns = [
            f"{time(ours) * 1000:,.0f}",
            *(quickest(some, ours, time) for some in (pyav, torchcodec, own, plan)),
            f"{min(equal) / time(ours):.2f} x" if equal else "",
            f"{time(ours) / time(plan[0]):.2f}" if plan else "",
        ]
        print(f"| {label} | " + " | ".join(columns) + " |")


def quickest(rows: list[dict[str, Any]], ours: dict[str, Any], time: Any) -> str:
    """Milliseconds of the quickest of some readers; in brackets its threads, or what it gave instead of our frames."""
    if not rows:
        return ""
    row = min(rows, key=time)
    said = compared(row, ours)
    threads = row["reader"].partition(", ")[2].removesuffix(" threads")
    shown = said if said != "same" else threads if len(rows) > 1 else ""
    return f"{time(row) * 1000:,.0f}" + (f" ({shown})" if shown else "")

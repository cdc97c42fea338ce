"""Time and memory of a run by its number of documents, with a linear fit; and many requests in flight at once.

    python tools/bench/scale.py                     # 1k, 10k and 100k documents; `make bench-scale`
    python tools/bench/scale.py --sizes 1000 4000 --concurrent 200 --requests 4000

The fit is `a + b * documents` by least squares, each size weighted alike; beside it stands how far each measurement is
from it. Growth that is not linear shows as a cost a document that rises with the documents. The last line has so many
requests in flight in one process, at a server on loopback that answers each after the same time; `--concurrent 0`
leaves it out. The script measures and never judges.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))
from tools.bench.overhead import Case, measure, prepare  # noqa: E402

SIZES = (1_000, 10_000, 100_000)
ANSWER_SECONDS = 1.0
PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest")
DUMMY = ("--lmms-model", "dummy", "--lmms-model-args", "response=Yes")


def fit(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """`a` and `b` of `y = a + b * x`, such that the sum of squared relative errors is least.

    Args:
        points: (x, y), at least two different x; y above 0.
    """
    weights = [1 / y**2 for _, y in points]
    total = sum(weights)
    x_mean = sum(w * x for w, (x, _) in zip(weights, points, strict=True)) / total
    y_mean = sum(w * y for w, (_, y) in zip(weights, points, strict=True)) / total
    slope = sum(w * (x - x_mean) * (y - y_mean) for w, (x, y) in zip(weights, points, strict=True)) / sum(
        w * (x - x_mean) ** 2 for w, (x, _) in zip(weights, points, strict=True)
    )
    return y_mean - slope * x_mean, slope


def show(title: str, unit: str, points: Sequence[tuple[float, float]]) -> str:
    """A line a measurement, and the fit."""
    start, slope = fit(points)
    lines = [f"{title}: {start:.3g} {unit} + {1000 * slope:.3g} {unit} per 1,000 documents"]
    for x, y in points:
        expected = start + slope * x
        lines.append(f"  {x:9,.0f} documents: {y:9.2f} {unit}, {100 * (y / expected - 1):+.1f}% from the fit")
    return "\n".join(lines)


def documents(cache: Path, size: int, arguments: Sequence[str]) -> Case:
    """A run of so many documents that a model in memory answers."""
    command = [*PYTEST, str(cache / f"ours_{size}"), "--no-lmms-report", "--lmms-output-path", "{out}", *arguments]
    return Case(f"{size}", command, size, env={"HF_HOME": str(cache / "hub")})


def in_flight(cache: Path, size: int, concurrent: int) -> str:
    """Ask so many documents of a server on loopback, so many at once; what it took."""
    command = [sys.executable, str(HERE / "loopback.py"), "--seconds", str(ANSWER_SECONDS)]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        told = f"model=m,num_concurrent={concurrent},base_url={url}/v1"
        model = ["--lmms-model", "openai", "--lmms-model-args", told]
        case = documents(cache, size, model)
        case = Case(case.name, case.command, size, env={**case.env, "OPENAI_API_KEY": "none"})
        run = measure(case, cache / "work")
    finally:
        server.kill()
    least = ANSWER_SECONDS * size / concurrent
    said = f"{size:,} requests, {concurrent:,} in flight: {run.wall_seconds:.1f} s"
    said += f", {size / run.wall_seconds:.0f} a second"
    return f"{said} (the server alone: {least:.1f} s), {run.peak_first_mib:.0f} MiB {run.problem or ''}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--concurrent", type=int, default=1_000)
    parser.add_argument("--requests", type=int, help="documents of the last line; without it the largest size")
    parser.add_argument("--cache", type=Path, default=HERE.parents[1] / ".bench/scale", help="rows, kept")
    options = parser.parse_args()
    cache: Path = options.cache.resolve()
    cache.mkdir(parents=True, exist_ok=True)
    requests = options.requests or max(options.sizes)
    prepare(cache, sorted({*options.sizes, *([requests] if options.concurrent else [])}))
    for model in cache.glob("ours_*/conftest.py"):  # that of another measurement
        model.unlink()
    seconds, memory = [], []
    for size in options.sizes:
        measure(documents(cache, size, [*DUMMY, "--lmms-limit", "1"]), cache / "work")  # the rows are converted, once
        run = measure(documents(cache, size, DUMMY), cache / "work")
        if run.problem:
            print(f"{size} documents: {run.problem}")
            continue
        seconds.append((float(size), run.cpu_seconds))
        memory.append((float(size), run.peak_first_mib))
        print(f"{size:9,} documents: {run.wall_seconds:.1f} s", flush=True)
    if len(seconds) > 1:
        print(show("CPU", "s", seconds), show("memory at its peak", "MiB", memory), sep="\n")
    if options.concurrent:
        print(in_flight(cache, requests, options.concurrent), flush=True)
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()

"""How often the default gate errs: `make simulate-gates`.

A run and its baseline answer the same documents, right or wrong. Beside what both share, documents change sides by
chance (*churn*: the fraction that turns from right to wrong, plus the fraction that turns from wrong to right, though
the models are equally good). A true drop turns further documents from right to wrong.

False alarms: how often a run without a true difference fails. Detection: how often one with a true drop of 5 points
does. Both are counted on pairs drawn at random, and computed: the gate is asked about every number of documents that
may change sides, and the answers are weighed by how likely each is. The bound is what no test at that level can exceed
by more than rounding: a one-sided z test that knows the variance (Neyman and Pearson).
"""

from __future__ import annotations

import argparse
import functools
import math
import sys
from collections.abc import Iterator
from statistics import NormalDist

import numpy as np
from scipy import stats

from pytest_lmms import stats as stats_room
from pytest_lmms.results.compare import pair
from pytest_lmms.results.comparison import Comparison
from pytest_lmms.results.decide import decide
from pytest_lmms.results.rules import DEFAULT_RULE, Gate
from pytest_lmms.results.runs import DocumentScore, Metric
from pytest_lmms.results.verdict import Verdict

METRIC = Metric("simulated", "acc", "none")
GATE = Gate(rule=DEFAULT_RULE, metric="acc")
DROP = 0.05
MAX_FALSE_ALARMS, MIN_DETECTION = 0.01, 0.9
CHURNS = (0.02, 0.05, 0.10, 0.20, 0.30)
_NEGLIGIBLE = 1e-9


def scores(values: np.ndarray, clusters: np.ndarray | None = None) -> dict[int, DocumentScore]:
    """Scores as a run would hold them."""
    names = [None] * len(values) if clusters is None else map(str, clusters)
    return {i: DocumentScore(float(v), c, "", "", "") for i, (v, c) in enumerate(zip(values, names, strict=True))}


def verdict(run: np.ndarray, baseline: np.ndarray, clusters: np.ndarray | None = None, *, num_runs: int = 1) -> Verdict:
    """Judge one pair of runs by the default gate."""
    comparison = pair(
        scores(run, clusters), scores(baseline, clusters), metric=METRIC, higher_is_better=True,
        value=float(run.mean()), baseline=float(baseline.mean()),
    )  # fmt: skip
    asked = Verdict(gate=GATE, metric=METRIC, outcome="unjudged", reason="", comparison=comparison)
    return decide([asked], num_runs=num_runs)[0]


# --- right or wrong -----------------------------------------------------------------------------------------------


def verdicts(
    num_documents: int, churn: float, drop: float, *, repeats: int, accuracy: float, seed: int
) -> Iterator[Verdict]:
    """Judge pairs of runs drawn at random."""
    generator = np.random.default_rng(seed)
    to_wrong = (churn / 2 + drop) / accuracy
    to_right = churn / 2 / (1 - accuracy)
    for _ in range(repeats):
        baseline = generator.random(num_documents) < accuracy
        chance = generator.random(num_documents)
        yield verdict(np.where(baseline, chance >= to_wrong, chance < to_right), baseline)


@functools.cache
def fails(num_documents: int, num_changed: int, num_worse: int, num_runs: int = 1) -> bool:
    """Whether the gate fails when so many documents change sides, and so many of them for the worse."""
    run, baseline = np.ones(num_documents), np.ones(num_documents)
    run[:num_worse] = 0
    baseline[num_worse:num_changed] = 0
    return verdict(run, baseline, num_runs=num_runs).outcome == "fail"


@functools.cache
def _fewest_that_fail(num_documents: int, num_changed: int, num_runs: int) -> int:
    """So many for the worse fail, and so do more; `num_changed + 1` where nothing does."""
    low, high = num_changed // 2, num_changed + 1
    while low < high:
        middle = (low + high) // 2
        if fails(num_documents, num_changed, middle, num_runs):
            high = middle
        else:
            low = middle + 1
    return low


def probability(num_documents: int, churn: float, drop: float, *, num_runs: int = 1) -> float:
    """How often the gate fails, computed."""
    changed = np.arange(num_documents + 1)
    weights = stats.binom.pmf(changed, num_documents, churn + drop)
    share = (churn / 2 + drop) / (churn + drop)
    return float(sum(
        weights[n] * stats.binom.sf(_fewest_that_fail(num_documents, int(n), num_runs) - 1, n, share)
        for n in changed[weights > _NEGLIGIBLE]
    ))  # fmt: skip


def _variance(churn: float, drop: float) -> float:
    """Of one document's difference."""
    return churn + drop - drop**2


def bound(num_documents: int, churn: float, drop: float = DROP, level: float = MAX_FALSE_ALARMS) -> float:
    """The power of a one-sided z test that knows the variance."""
    error = math.sqrt(_variance(churn, drop) / num_documents)
    return NormalDist().cdf(drop / error - NormalDist().inv_cdf(1 - level))


def needed(churn: float, drop: float = DROP, level: float = MAX_FALSE_ALARMS, power: float = MIN_DETECTION) -> int:
    """Documents with which that test has such a power."""
    z = NormalDist().inv_cdf(1 - level) + NormalDist().inv_cdf(power)
    return math.ceil(z**2 * _variance(churn, drop) / drop**2)


# --- other scores -------------------------------------------------------------------------------------------------


def graded(drop: float, *, num_documents: int, churn: float, repeats: int, seed: int, size: int = 1) -> Iterator[str]:
    """Outcomes for scores between 0 and 1, in clusters of `size` that change together; a t test judges them."""
    generator = np.random.default_rng(seed)
    values, weights = np.array([0, 0.25, 0.5, 0.75, 1]), np.array([0.2, 0.1, 0.1, 0.1, 0.5])
    lost = drop / (values @ weights)
    clusters = np.arange(num_documents) // size if size > 1 else None
    for _ in range(repeats):
        baseline = generator.choice(values, num_documents, p=weights)
        redrawn = np.repeat(generator.random(math.ceil(num_documents / size)) < churn, size)[:num_documents]
        run = np.where(redrawn, generator.choice(values, num_documents, p=weights), baseline)
        run = np.where(generator.random(num_documents) < lost, 0.0, run)
        yield verdict(run, baseline, clusters).outcome


def repeated(drop: float, *, num_documents: int, num_repeats: int, repeats: int, seed: int) -> Iterator[str]:
    """Outcomes where each document is asked several times and scores the mean; some are harder."""
    generator = np.random.default_rng(seed)
    for _ in range(repeats):
        ease = generator.beta(1.4, 0.6, num_documents)  # 0.7 on average
        baseline = generator.binomial(num_repeats, ease) / num_repeats
        run = generator.binomial(num_repeats, ease * (1 - drop / 0.7)) / num_repeats
        yield verdict(run, baseline).outcome


def over_documents(drop: float, *, num_documents: int, churn: float, repeats: int, seed: int) -> Iterator[str]:
    """Outcomes for F1, which only all documents together have; 200 draws of them judge it, as a task's own metric."""
    generator = np.random.default_rng(seed)
    f1 = stats_room.OfTotals(
        lambda items: [(g == 1 == p, g != p) for g, p in items], lambda sums: 2 * sums[0] / (2 * sums[0] + sums[1])
    )
    for _ in range(repeats):
        gold = generator.random(num_documents) < 0.5
        first, second = (gold ^ (generator.random(num_documents) < 0.2) for _ in range(2))
        again = generator.random(num_documents) < 1 - churn
        run = np.where(again, first, second)
        run = run & ~(gold & (generator.random(num_documents) < 2 * drop))
        items = [list(zip(gold.tolist(), said.tolist(), strict=True)) for said in (run, first)]
        found = stats_room.bootstrap_difference(*items, f1, iterations=200, seed=1)
        error = found.standard_error or 0.0
        comparison = Comparison(
            metric=METRIC, higher_is_better=True, value=f1(items[0]), baseline=f1(items[1]), effect=found.mean,
            effect_from=f1(items[1]), num_pairs=num_documents, mean_difference=found.mean, low=found.low,
            high=found.high, p_value=found.p_value, p_worse=found.p_less, std=error * math.sqrt(num_documents),
        )  # fmt: skip
        asked = Verdict(gate=GATE, metric=METRIC, outcome="unjudged", reason="", comparison=comparison)
        yield decide([asked])[0].outcome


# --- what is printed ----------------------------------------------------------------------------------------------


def main() -> int:
    """Print the tables; exit code 1 where the default gate misses what is promised."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=2000, help="pairs of runs for each line (default 2000)")
    parser.add_argument("--accuracy", type=float, default=0.7, help="of the baseline (default 0.7)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"default gate: {DEFAULT_RULE}; {options.repeats} pairs a line, accuracy {options.accuracy:g}")
    print(f"{'':>17}{'false alarms':>18}  {'incon-':>7}{'detects -5 pt':>27}  {'needed':>7}")
    print(f"{'documents':>9} {'churn':>7}{'drawn':>9}{'exact':>9}  {'clusive':>7}{'drawn':>9}{'exact':>9}{'bound':>9}"
          f"  {'for 90%':>7}")  # fmt: skip
    is_kept = True
    for num_documents in (200, 1000, 4000):
        for churn in CHURNS:
            is_kept &= _line(num_documents, churn, options)
    is_kept &= _others(options)
    alarms = probability(1000, 0.10, 0.0, num_runs=5)
    print(f"a list of 5 runs, 1,000 documents, 10% churn: any of them fails falsely {1 - (1 - alarms) ** 5:.2%}")
    is_kept &= 1 - (1 - alarms) ** 5 <= MAX_FALSE_ALARMS
    print(
        f"at most {MAX_FALSE_ALARMS:.0%} false alarms everywhere, at least {MIN_DETECTION:.0%} detection with 1,000"
        f" documents up to 10% churn, half a point below the bound at most from 1,000 on: {'yes' if is_kept else 'NO'}"
    )
    return 0 if is_kept else 1


def _line(num_documents: int, churn: float, options: argparse.Namespace) -> bool:
    """Print one line about right and wrong; whether it keeps what is promised."""
    settings = {"repeats": options.repeats, "accuracy": options.accuracy, "seed": options.seed}
    same = [v.outcome for v in verdicts(num_documents, churn, 0.0, **settings)]
    worse = [v.outcome for v in verdicts(num_documents, churn, DROP, **settings)]
    alarms, unsure, found = (
        outcomes.count(outcome) / options.repeats
        for outcomes, outcome in ((same, "fail"), (same, "inconclusive"), (worse, "fail"))
    )
    exact_alarms, exact_found = (probability(num_documents, churn, drop) for drop in (0.0, DROP))
    most = bound(num_documents, churn)
    print(
        f"{num_documents:>9,} {churn:>7.0%}{alarms:>9.2%}{exact_alarms:>9.2%}  {unsure:>7.1%}{found:>9.1%}"
        f"{exact_found:>9.1%}{most:>9.1%}  {needed(churn):>7,}",
        flush=True,
    )
    if num_documents < 1000:
        return exact_alarms <= MAX_FALSE_ALARMS
    is_enough = churn > 0.10 or exact_found >= MIN_DETECTION
    return exact_alarms <= MAX_FALSE_ALARMS and is_enough and exact_found >= most - 0.005


def _others(options: argparse.Namespace) -> bool:
    """Print the lines about other scores; whether false alarms, as far as drawing can tell, are few enough."""
    is_kept = True
    for text, size in (("graded scores, a t test", 1), ("the same in clusters of 4", 4)):
        settings = {
            "num_documents": 1000,
            "churn": 0.10,
            "repeats": options.repeats,
            "seed": options.seed,
            "size": size,
        }
        alarms, found = (list(graded(d, **settings)).count("fail") / options.repeats for d in (0.0, DROP))
        print(f"{text}, 1,000 documents, 10% redrawn: false alarms {alarms:.2%}, detects -5 pt {found:.1%}", flush=True)
        is_kept &= alarms <= MAX_FALSE_ALARMS + 3 * math.sqrt(MAX_FALSE_ALARMS / options.repeats)
    drawn = {"num_documents": 1000, "repeats": options.repeats, "seed": options.seed}
    for text, outcomes in (
        ("asked 4 times each, a t test of means, 1,000 documents", functools.partial(repeated, num_repeats=4, **drawn)),
        ("F1 by a bootstrap, 1,000 documents, 10% redrawn", functools.partial(over_documents, churn=0.1, **drawn)),
    ):
        alarms, found = (list(outcomes(d)).count("fail") / options.repeats for d in (0.0, DROP))
        print(f"{text}: false alarms {alarms:.2%}, detects -5 pt {found:.1%}", flush=True)
        is_kept &= alarms <= MAX_FALSE_ALARMS + 3 * math.sqrt(MAX_FALSE_ALARMS / options.repeats)
    return is_kept


if __name__ == "__main__":
    sys.exit(main())

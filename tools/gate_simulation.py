"""How often the default gate errs: `make simulate-gates`.

A run and its baseline answer the same documents, right or wrong. Both share each document's difficulty; beside that,
documents change sides by chance (*churn*: the fraction that turns from right to wrong, plus the fraction that turns
from wrong to right, though the models are equally good). A true drop turns further documents from right to wrong.

False alarms: fraction of pairs without a true difference that fail. Detection: of pairs with a true drop of 5 points.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

import numpy as np

from pytest_lmms.results.compare import pair
from pytest_lmms.results.gate import Verdict, decide
from pytest_lmms.results.rules import DEFAULT_RULE, Gate
from pytest_lmms.results.runs import DocumentScore, Metric

METRIC = Metric("simulated", "acc", "none")
GATE = Gate(rule=DEFAULT_RULE, metric="acc")
DROP = 0.05
MAX_FALSE_ALARMS, MIN_DETECTION = 0.01, 0.9


def scores(values: np.ndarray) -> dict[int, DocumentScore]:
    """Scores as a run would hold them."""
    return {i: DocumentScore(float(v), None, "", "", "") for i, v in enumerate(values)}


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
        run = np.where(baseline, chance >= to_wrong, chance < to_right)
        comparison = pair(
            scores(run), scores(baseline), metric=METRIC, higher_is_better=True,
            value=float(run.mean()), baseline=float(baseline.mean()),
        )  # fmt: skip
        yield decide([Verdict(gate=GATE, metric=METRIC, outcome="unjudged", reason="", comparison=comparison)])[0]


def main() -> int:
    """Print the table; exit code 1 where the default gate misses what is promised at a churn of 10%."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=2000, help="pairs of runs for each line (default 2000)")
    parser.add_argument("--accuracy", type=float, default=0.7, help="of the baseline (default 0.7)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"default gate: {DEFAULT_RULE}; {options.repeats} pairs a line, accuracy {options.accuracy:g}")
    print(f"{'documents':>9} {'churn':>6}   {'false alarms':>12} {'inconclusive':>12}   {'detects -5 pt':>13}")
    is_kept = True
    for num_documents in (200, 1000, 4000):
        for churn in (0.02, 0.05, 0.10, 0.20, 0.30):
            settings = {"repeats": options.repeats, "accuracy": options.accuracy, "seed": options.seed}
            same = [v.outcome for v in verdicts(num_documents, churn, 0.0, **settings)]
            worse = [v.outcome for v in verdicts(num_documents, churn, DROP, **settings)]
            alarms, unsure, found = (
                outcomes.count(outcome) / options.repeats
                for outcomes, outcome in ((same, "fail"), (same, "inconclusive"), (worse, "fail"))
            )
            print(f"{num_documents:>9,} {churn:>6.0%}   {alarms:>12.2%} {unsure:>12.1%}   {found:>13.1%}")
            is_kept &= alarms <= MAX_FALSE_ALARMS
            if num_documents == 1000 and churn <= 0.10:
                is_kept &= found >= MIN_DETECTION
    print(
        f"at most {MAX_FALSE_ALARMS:.0%} false alarms everywhere, and at least {MIN_DETECTION:.0%} detection with 1,000"
        f" documents up to 10% churn: {'yes' if is_kept else 'NO'}"
    )
    return 0 if is_kept else 1


if __name__ == "__main__":
    sys.exit(main())

"""How sure a number is: standard errors, paired tests, power analysis, stability over repeats.

Pure functions over sequences of numbers. This room knows no task, no record and no file. It refuses
to guess: where a figure has no meaning (one value, one cluster), the answer is None and never zero
or NaN. numpy and scipy are imported by the few functions that need them, so importing this package
costs nothing.

Sources: Evan Miller, "Adding Error Bars to Evals" (arXiv:2411.00640), for clustered and paired
errors and for the power analysis; Efron and Tibshirani, "An Introduction to the Bootstrap" (1993),
for the bootstrap.
"""

from pytest_lmms.stats.bootstrap import OfTotals, bootstrap_difference, bootstrap_standard_error
from pytest_lmms.stats.intervals import (
    Interval,
    confidence_interval,
    pooled_standard_error,
    standard_error_clt,
    standard_error_clustered,
)
from pytest_lmms.stats.multiplicity import holm
from pytest_lmms.stats.paired import (
    McNemar,
    PairedDifference,
    mcnemar,
    paired_difference,
)
from pytest_lmms.stats.planning import (
    DEFAULT_STD,
    minimum_detectable_effect,
    power,
    sample_size,
)
from pytest_lmms.stats.stability import (
    consensus_accuracy,
    consistency_rate,
    expected_accuracy,
    internal_variance,
    pass_at_k,
)

__all__ = [
    "DEFAULT_STD",
    "Interval",
    "McNemar",
    "OfTotals",
    "PairedDifference",
    "bootstrap_difference",
    "bootstrap_standard_error",
    "confidence_interval",
    "consensus_accuracy",
    "consistency_rate",
    "expected_accuracy",
    "holm",
    "internal_variance",
    "mcnemar",
    "minimum_detectable_effect",
    "paired_difference",
    "pass_at_k",
    "pooled_standard_error",
    "power",
    "sample_size",
    "standard_error_clt",
    "standard_error_clustered",
]

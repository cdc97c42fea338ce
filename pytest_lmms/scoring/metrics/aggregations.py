"""Aggregations: from what a metric gave for each document to one number for the task.

Each takes the list of items, at least one, and returns a float. Items that are pairs may be tuples
or, read back from a file, lists. sacrebleu is imported by the three functions that need it.
"""

from __future__ import annotations

import importlib
import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pytest_lmms.errors import LmmsError, TaskError, explain
from pytest_lmms.stats import OfTotals

BYPASSED = 999.0
"""What the aggregation `bypass` says, whatever it is given: the task has no score of its own."""


def bypass(_items: Sequence[Any]) -> float:
    """Return `BYPASSED`: the metric only carries data, for a submission file or a later step."""
    return BYPASSED


def mean(items: Sequence[Any]) -> float:
    """Return the arithmetic mean of numbers, or of what mappings hold under `score`."""
    if isinstance(items[0], Mapping):
        items = [item["score"] for item in items]
    return float(sum(items) / len(items))


def median(items: Sequence[float]) -> float:
    """Return the middle of the sorted items; of an even number, the mean of the two middle ones.

    lmms-eval takes the middle of the items in document order, which is no median.
    """
    return float(statistics.median(items))


def perplexity(items: Sequence[float]) -> float:
    """Return ``exp(-mean)`` of natural log-probabilities: 1 or more, lower is better."""
    return math.exp(-mean(items))


def weighted_perplexity(items: Sequence[Sequence[float]]) -> float:
    """Return ``exp(-sum(logprob) / sum(weight))`` of pairs (logprob, number of words or bytes)."""
    return math.exp(-_weighted_mean(items))


def bits_per_byte(items: Sequence[Sequence[float]]) -> float:
    """Return ``-sum(logprob) / sum(bytes) / ln 2`` of pairs (logprob, number of bytes)."""
    return -_weighted_mean(items) / math.log(2)


def f1(items: Sequence[Sequence[Any]]) -> float:
    """Return the F1 score of the class 1, from pairs (gold, predicted) of 0 and 1.

    ``2 TP / (2 TP + FP + FN)``; 0 when neither gold nor prediction is ever 1.

    Raises:
        TaskError: A label is neither 0 nor 1.
    """
    pairs = _labels(items)
    for label in (label for labels in pairs for label in labels):
        if label not in (0, 1):
            raise TaskError(
                explain(
                    f"aggregation f1 met the label {label!r}",
                    expected="0 and 1, as it counts one class against the other",
                    remedy="Return 0 or 1 from process_results, or give your own !function.",
                )
            )
    true_positives = sum(1 for gold, predicted in pairs if gold == 1 == predicted)
    mistakes = sum(1 for gold, predicted in pairs if gold != predicted)
    total = 2 * true_positives + mistakes
    return 2 * true_positives / total if total else 0.0


def matthews_corrcoef(items: Sequence[Sequence[Any]]) -> float:
    """Return Matthews' correlation coefficient of pairs (gold, predicted).

    For any number of classes: Gorodkin's R_K (Comput. Biol. Chem. 28, 2004), -1 to 1; 0 when gold
    or prediction never changes.
    """
    pairs = _labels(items)
    num_pairs = len(pairs)
    golds = Counter(gold for gold, _ in pairs)
    predictions = Counter(predicted for _, predicted in pairs)
    correct = sum(1 for gold, predicted in pairs if gold == predicted)
    covariance = correct * num_pairs - sum(golds[label] * predictions[label] for label in golds)
    gold_variance = num_pairs**2 - sum(count**2 for count in golds.values())
    predicted_variance = num_pairs**2 - sum(count**2 for count in predictions.values())
    scale = math.sqrt(gold_variance) * math.sqrt(predicted_variance)
    return covariance / scale if scale else 0.0


def brier_score(items: Sequence[Sequence[Any]]) -> float:
    """Return the Brier score of pairs (gold index, probabilities): 0 to 2, lower is better.

    Mean over documents of the sum over classes of ``(probability - [class is gold])**2``
    (Brier 1950).
    """
    return mean(
        [
            math.fsum((p - (index == gold)) ** 2 for index, p in enumerate(probabilities))
            for gold, probabilities in items
        ]
    )


def acc_all(items: Sequence[tuple[Any, Mapping[str, Any]]]) -> float:
    """Return the fraction of questions all of whose answers are labelled right (MultiRC).

    Args:
        items: Pairs (predicted label, document); the document has ``idx.paragraph``,
            ``idx.question`` and ``label``, 1 for a right answer.
    """
    all_right: dict[tuple[Any, Any], bool] = {}
    for predicted, document in items:
        question = (document["idx"]["paragraph"], document["idx"]["question"])
        right = (document["label"] == 1) == predicted
        all_right[question] = all_right.get(question, True) and right
    return mean([float(right) for right in all_right.values()])


def bleu(items: Sequence[Sequence[Any]]) -> float:
    """Return corpus BLEU of pairs (references, prediction), 0 to 100, by sacrebleu.

    Raises:
        LmmsError: sacrebleu is not installed.
    """
    return _corpus_score("corpus_bleu", items)


def chrf(items: Sequence[Sequence[Any]]) -> float:
    """Return corpus chrF of pairs (references, prediction), 0 to 100, by sacrebleu.

    Raises:
        LmmsError: sacrebleu is not installed.
    """
    return _corpus_score("corpus_chrf", items)


def ter(items: Sequence[Sequence[Any]]) -> float:
    """Return the corpus translation edit rate (TER) of pairs (references, prediction).

    In percent, lower is better; it can exceed 100. By sacrebleu.

    Raises:
        LmmsError: sacrebleu is not installed.
    """
    return _corpus_score("corpus_ter", items)


def _corpus_score(function: str, items: Sequence[Sequence[Any]]) -> float:
    return float(getattr(_sacrebleu(function), function)(*_texts(items)).score)


def totals_of(name: str) -> OfTotals | None:
    """What an aggregation sums over documents, by its name; None for those that are quick, or more than sums.

    Of sacrebleu's metrics, which offer no other way to resample a difference, two methods without a public name are
    used, where they are there.

    Raises:
        LmmsError: sacrebleu is not installed.
    """
    classes = {"bleu": "BLEU", "chrf": "CHRF", "ter": "TER"}
    if name not in classes:
        return None
    metric: Any = getattr(_sacrebleu(f"corpus_{name}").metrics, classes[name])()
    extract = getattr(metric, "_extract_corpus_statistics", None)
    score = getattr(metric, "_compute_score_from_stats", None)
    if extract is None or score is None:
        return None
    return OfTotals(lambda items: extract(*_texts(items)), lambda sums: float(score(list(map(int, sums))).score))


def _sacrebleu(function: str) -> Any:
    try:
        return importlib.import_module("sacrebleu")
    except ImportError as error:
        raise LmmsError(
            explain(
                f"the aggregation {function.removeprefix('corpus_')} needs sacrebleu",
                remedy="pip install sacrebleu",
            )
        ) from error


def _texts(items: Sequence[Sequence[Any]]) -> tuple[list[Any], list[list[Any]]]:
    """Predictions, and their references as sacrebleu has them."""
    references = [_as_list(references) for references, _ in items]
    predictions = [_as_list(prediction)[0] for _, prediction in items]
    # sacrebleu wants one stream per position; documents with fewer references are filled with None.
    longest = max(map(len, references))
    streams = [[own[position] if position < len(own) else None for own in references] for position in range(longest)]
    return predictions, streams


def _weighted_mean(items: Sequence[Sequence[float]]) -> float:
    return sum(value for value, _ in items) / sum(weight for _, weight in items)


def _labels(items: Iterable[Sequence[Any]]) -> list[tuple[Any, Any]]:
    """Pairs of labels; a label may come alone or as a list of one."""
    return [(_as_list(gold)[0], _as_list(predicted)[0]) for gold, predicted in items]


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]

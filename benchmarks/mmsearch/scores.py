"""MMSearch: how near a query and an answer are to the gold ones."""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

from pytest_lmms.records import Item, Unparsed

Doc = Mapping[str, Any]
COLUMNS = ("sample_id", "query", "timestamp", "area", "subfield", "gt_answer")
QUERY, ANSWER = 0, 2
"""Places of these among the outputs of a document's three rounds."""


def _tokens(text: str) -> list[str]:
    text = "".join(c for c in text.lower() if c not in string.punctuation)
    return re.sub(r"\b(?:a|an|the)\b", " ", text).split()


def f1_score(answer: str, golds: Sequence[str]) -> float:
    """Return the best F1 of words, 0 to 1; case, marks and articles do not count."""
    return max(_f1(_tokens(answer), _tokens(gold)) for gold in golds)


def _f1(said: list[str], gold: list[str]) -> float:
    if not said or not gold:
        return float(said == gold)
    return 2 * sum((Counter(said) & Counter(gold)).values()) / (len(said) + len(gold))


def _common_words(gold: Sequence[str], said: Sequence[str]) -> set[str]:
    """Return the words of a longest common subsequence; of several, the one that `rouge` finds."""
    rows = [[0] * (len(said) + 1)]
    for word in gold:
        row = [0]
        for j, other in enumerate(said):
            row.append(rows[-1][j] + 1 if word == other else max(rows[-1][j + 1], row[j]))
        rows.append(row)
    i, j, common = len(gold), len(said), set()
    while i and j:
        if gold[i - 1] == said[j - 1]:
            i, j = i - 1, j - 1
            common.add(gold[i])
        elif rows[i - 1][j] > rows[i][j - 1]:
            i -= 1
        else:
            j -= 1
    return common


def rouge_l(query: str, gold: str) -> float:
    """Return ROUGE-L F1 as the package `rouge` has it: over sentences, which full stops end, and different words."""
    said, wanted = ([part.split() or [""] for part in text.split(".") if part] for text in (query, gold))
    common = set().union(*(_common_words(sentence, other) for sentence in wanted for other in said))
    num_words = sum(len({word for sentence in text for word in sentence}) for text in (said, wanted))
    return 2 * len(common) / num_words if common else 0.0


def query_score(query: str, gold: str) -> float:
    """Return the mean of BLEU-1 and ROUGE-L F1 of a query's words, 0 to 1."""
    said, wanted = query.split(), gold.split()
    if not said or not wanted:
        return 0.0
    common = sum((Counter(said) & Counter(wanted)).values())
    brevity = 1.0 if len(said) > len(wanted) else math.exp(1 - len(wanted) / len(said))
    return (brevity * common / len(said) + rouge_l(query, gold)) / 2


def score_answer(item: Doc) -> float:
    """Return the F1 of an item's answer."""
    return f1_score(item["answer_prediction"], [item["gt_answer"], *(item["alternative_gt_answers"] or [])])


def score_query(item: Doc) -> float:
    """Return the score of an item's query."""
    return query_score(item["requery_prediction"], item["gt_requery"])


def item_of(doc: Doc, *columns: str, **said: str) -> dict[str, Any]:
    """Return what an aggregation needs of a row, and what was said."""
    return {column: doc[column] for column in (*COLUMNS, *columns)} | said


def mmsearch_end2end_process_results(doc: Doc, results: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Score the query and the answer."""
    outputs = [*results[0], "", "", ""]
    said = {"requery_prediction": outputs[QUERY], "answer_prediction": outputs[ANSWER]}
    item = item_of(doc, "gt_requery", "alternative_gt_answers", **said)
    scores = {
        "end2end_f1_score": Item(item, score=score_answer(item)),
        "requery_score": Item(item, score=score_query(item)),
    }
    return scores if outputs[ANSWER].strip() else Unparsed(scores)


def mean_of(score: Callable[[Doc], float]) -> Callable[[Sequence[Doc]], float | None]:
    """Return an aggregation: the mean of a score, 0 to 1, with sub-scores such as ``area/news``."""

    def groups(items: Sequence[Doc]) -> dict[str, float]:
        names = dict.fromkeys((key, item[key]) for key in ("area", "subfield") for item in items)
        return {f"{k}/{v}": fmean(score(item) for item in items if item[k] == v) for k, v in names}

    def mean(items: Sequence[Doc]) -> float | None:
        return fmean(map(score, items)) if items else None

    mean.sub_scores = groups  # type: ignore[attr-defined]
    return mean


mmsearch_mean_answer = mean_of(score_answer)
mmsearch_mean_query = mean_of(score_query)

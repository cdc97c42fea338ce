"""IFEval: instructions that a program can check, such as "use no commas"; text only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from pytest_lmms.scoring.instructions import follows, loose_variants

Doc = Mapping[str, Any]


def ifeval_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Check each instruction: strictly on the response, loosely on any of its variants."""
    text = results[0]
    names = doc["instruction_id_list"]
    instructions = list(zip(names, doc["kwargs"][: len(names)], strict=True))
    variants = list(dict.fromkeys(loose_variants(text)))
    strict = [follows(name, settings or {}, text) for name, settings in instructions]
    loose = [any(follows(name, settings or {}, v) for v in variants) for name, settings in instructions]
    return {
        "prompt_level_strict_acc": all(strict),
        "inst_level_strict_acc": strict,
        "prompt_level_loose_acc": all(loose),
        "inst_level_loose_acc": loose,
    }


def ifeval_mean_of_instructions(items: Sequence[Sequence[bool]]) -> float | None:
    """Return the share of instructions that were followed, 0 to 1."""
    followed = [value for item in items for value in item]
    return fmean(followed) if followed else None

"""What the files of a run folder hold, as JSON Schema. A test holds real runs against it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_lmms.records import STATUSES

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}
_FLAG = {"type": "boolean"}
_OBJECT = {"type": "object"}
_LIST = {"type": "array"}
_TEXT_OR_NONE = {"type": ["string", "null"]}

_STATUS = {"enum": list(STATUSES)}
_RUN_STATUS = {"enum": ["running", "complete", "incomplete", "interrupted"]}


def _object(
    description: str, *, required: str, more: bool, **properties: tuple[Mapping[str, Any], str]
) -> dict[str, Any]:
    """A schema; a `_` in a keyword stands for itself, `__` for the hyphen of lmms-eval's keys."""
    return {
        "$schema": DIALECT,
        "description": description,
        "type": "object",
        "properties": {
            name.replace("__", "-"): {**kind, "description": text} for name, (kind, text) in properties.items()
        },
        "required": required.split(),
        "additionalProperties": more,
    }


RESULTS = _object(
    "The scores of a run. Keys up to `config` are those of lmms-eval.",
    required="schema_version results groups configs versions n-shot n-samples config status complete counts date",
    more=False,
    schema_version=(_COUNT, "Of this file."),
    results=(
        _OBJECT,
        "Task to `METRIC,FILTER`, its `_stderr`, counts of documents by status, `document_means`, `complete`.",
    ),
    groups=(_OBJECT, "Group to the same."),
    group_subtasks=(_OBJECT, "Group to its tasks."),
    configs=(_OBJECT, "Task to the fields of its YAML, functions as their names."),
    versions=(_OBJECT, "Task to `metadata.version`."),
    n__shot=(_OBJECT, "Task to the number of solved examples."),
    higher_is_better=(_OBJECT, "Task to metric to whether more is better."),
    n__samples=(_OBJECT, "Task to `original` (documents of the split) and `effective` (asked here)."),
    config=(
        _OBJECT,
        "Model, its arguments, every setting (`resolved_cli_args`) and who said it (`setting_sources`).",
    ),
    status=(_RUN_STATUS, "How the run ended."),
    complete=(_FLAG, "Whether every document of every task was asked and has a score, or need have none."),
    incomplete_because=(_TEXT_OR_NONE, "Why not."),
    counts=(_OBJECT, "Documents by status, over all tasks."),
    efficiency=(_OBJECT, "Tokens and seconds, `overall` and `by_task`; None where nobody counted."),
    throughput=(_OBJECT, "Speed, under lmms-eval's names."),
    node_ids=(_OBJECT, "Task to the node id of its documents, without the number."),
    flags=(_OBJECT, "Flag to the number of documents that have it, such as `answer_truncated`."),
    error_documents=(_LIST, "The first errored documents: `task`, `doc_id`, `error`."),
    lost_documents=(_OBJECT, "Task to documents that were expected and have no record."),
    ignored_settings=(_OBJECT, "Task to settings of its YAML that the model cannot follow."),
    unjudged=(_OBJECT, "Task to metrics that have no value because only a judge gives them, and none was asked."),
    not_computed=(
        _OBJECT,
        "Task to metrics that have no value because something is missing here: metric to what it is.",
    ),
    complaints=(_LIST, "What went wrong without spoiling a score."),
    versions_of_packages=(_OBJECT, "Package to version."),
    date=(_TEXT, "When the run ended, ISO 8601 with offset."),
    gates=(
        _OBJECT,
        "Verdicts, with effect, interval, p, n and documents that changed; only where a gate was asked for.",
    ),
)

RUN = _object(
    "What was run, where and by which command.",
    required="schema_version status created config command",
    more=False,
    schema_version=(_COUNT, "Of this file."),
    status=(_RUN_STATUS, "How the run ended, or `running`."),
    created=(_TEXT, "When it began, ISO 8601 with offset."),
    finished=(_TEXT, "When it ended."),
    resumed=(_COUNT, "How often it was resumed."),
    plan_digest=(_TEXT, "Equal for runs of which one may resume the other."),
    command=(_TEXT, "The command line, secrets masked."),
    cwd=(_TEXT, "Folder that it was typed in."),
    rootdir=(_TEXT, "pytest's root folder."),
    config=(_OBJECT, "Every setting."),
    invocation=(_OBJECT, "pytest's own selection: `args`, `keyword`, `markexpr`."),
    versions=(_OBJECT, "Package to version."),
    environment=(_OBJECT, "Variables that matter, secrets masked."),
    python=(_TEXT, "The interpreter."),
    process=(_LIST, "Machine, and process where it is known."),
    merged_from=(_LIST, "Of a merged run: the run folders of its shards."),
)

SAMPLE = _object(
    "One line: one document under one chain of filters. Its metrics stand beside the keys below.",
    required="doc_id input target filtered_resps doc_hash status token_counts",
    more=True,
    doc_id=(_COUNT, "Row number."),
    input=(_TEXT, "Text of the prompt."),
    target=(_TEXT, "The gold answer."),
    resps=({}, "Raw texts, where they differ from the answers."),
    filtered_resps=({}, "Answers, as scored."),
    filter=(_TEXT, "Name of the chain of filters, where the task has several."),
    doc_hash=(_TEXT, "SHA-256 of the row."),
    status=(_STATUS, "What became of it."),
    error=(_TEXT, "Of an errored document: what happened and what to do."),
    flags=(_LIST, "Things worth telling, such as `answer_truncated`."),
    token_counts=(_LIST, "Of each response: `input_tokens`, `output_tokens`, `reasoning_tokens`; None where unknown."),
    timings=(
        _LIST,
        "Of each response that was really asked for: seconds, batch size, time to first token, its source.",
    ),
    num_cached=(_COUNT, "Responses that came from a store."),
    rounds=(_LIST, "Of documents of several rounds: what was said in each."),
    verdicts=(_LIST, "What judges said."),
    repeat_scores=(_OBJECT, "Metric to its value for each repeat."),
)

SCHEMAS = {"results.json": RESULTS, "run.json": RUN, "samples_<task>.jsonl": SAMPLE}

FILES = {
    "run.json": "configuration, versions, environment (secrets masked), command line, status",
    "results.json": "scores, error bars, status counts, speed, gates, and whether the run is complete",
    "samples_<task>.jsonl": "one record a document, in document order",
    "report.html": "a page to look at the run, whole in itself",
    "records_<task>.parquet": "the same records, with --lmms-parquet",
    "responses/": "every response, written before it is scored",
    "logs/": "what was printed while documents ran",
    "shards/": "records as they finish; merged and removed at the end",
}
"""Name of each file, and what it holds."""

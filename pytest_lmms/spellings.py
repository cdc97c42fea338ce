"""Every flag of lmms-eval v0.7's `eval`, and what it is here: an option, something that is always so, or a refusal.

Flags and keys of config files share this table. Data and text only: whether an option exists is `config`'s business.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_lmms.errors import UsageError, explain


@dataclass(frozen=True)
class Spelling:
    """One flag of lmms-eval, `--model_args`, also the key `model_args` of its config files."""

    name: str
    ours: str | None = None
    """The option that it stands for, where there is one."""
    refused: str | None = None
    """Why it is an error, and what to do instead."""
    ignored: str | None = None
    """Why nothing has to be done."""
    model_argument: str | None = None
    """The argument of the model that it stands for."""
    prefix: str = ""
    """What its value begins with here."""
    takes_value: bool = True


def _power(name: str) -> Spelling:
    return Spelling(name, refused=f"planning is a command of its own: pytest-lmms power --{name.replace('_', '-')} X")


_POWER_FLAGS = ("effect_size", "alpha", "power", "correlation", "std_a", "std_b")
_JUDGE = "start the judge's server yourself, and give its address to the judge"
_LOGGER = "name it with --lmms-log-to: wandb:project=..., or hub:repo=owner/name"

SPELLINGS: tuple[Spelling, ...] = (
    Spelling("config", ours="config"),
    Spelling("model", ours="model"),
    Spelling("tasks", ours="tasks"),
    Spelling("model_args", ours="model_args"),
    Spelling("launcher_args", refused=_JUDGE),
    Spelling("num_fewshot", ours="num_fewshot"),
    Spelling("batch_size", ours="batch_size"),
    Spelling("max_batch_size", refused="auto starts small and halves what does not fit: give batch_size a number"),
    Spelling("device", model_argument="device"),
    Spelling("output_path", ours="output_path"),
    Spelling("limit", ours="limit"),
    Spelling("offset", ours="offset"),
    Spelling("use_cache", ours="cache"),
    Spelling("cache_requests", refused="requests are made while the model answers: there is nothing to keep"),
    Spelling("check_integrity", takes_value=False, refused="tasks are checked by: pytest-lmms tasks check NAME"),
    Spelling("write_out", takes_value=False, refused="prompts are printed by: pytest-lmms tasks inputs NAME"),
    Spelling("log_samples", ours="log_samples", takes_value=False),
    Spelling("wandb_log_samples", takes_value=False,
             refused="samples are files of the run folder; --lmms-log-to hub:repo=owner/name pushes them"),
    Spelling("log_samples_suffix", ignored="it had no effect in lmms-eval"),
    Spelling("system_instruction", ours="system_instruction"),
    Spelling("apply_chat_template", takes_value=False, ignored="chat templates are always applied"),
    Spelling("fewshot_as_multiturn", ours="fewshot_as_multiturn", takes_value=False),
    Spelling("show_config", takes_value=False, ignored="results.json always holds the tasks' settings"),
    Spelling("include_path", ours="task_paths"),
    Spelling("gen_kwargs", ours="gen_kwargs"),
    Spelling("reasoning_tags", ours="reasoning_tags"),
    Spelling("verbosity", ignored="pytest has -v, -q and --log-cli-level"),
    Spelling("wandb_args", ours="log_to", prefix="wandb:"),
    Spelling("timezone", ignored="times carry their offset from UTC"),
    Spelling("hf_hub_log_args", refused=_LOGGER),
    Spelling("predict_only", ours="predict_only", takes_value=False),
    Spelling("seed", ours="seed"),
    Spelling("trust_remote_code", takes_value=False,
             refused="it did nothing in lmms-eval; a model takes it in model_args: trust_remote_code=true"),
    Spelling("process_with_media", takes_value=False, ignored="process_results always sees the media, unopened"),
    Spelling("agentic_trace_mode", ours="agentic_trace_mode"),
    Spelling("force_simple", takes_value=False, refused="each model has one class: name it with model"),
    Spelling("tui", takes_value=False, refused="pytest-lmms eval without arguments asks for what it needs"),
    Spelling("repeats", ours="repeats"),
    Spelling("num_samples", ours="repeats"),
    Spelling("baseline", ours="baseline"),
    Spelling("max_tokens", ours="max_tokens"),
    Spelling("power_analysis", takes_value=False, refused="planning is a command of its own: pytest-lmms power"),
    *(_power(name) for name in _POWER_FLAGS),
)  # fmt: skip
BY_SPELLING = {s.name: s for s in SPELLINGS}
SHORT = {"-b": "batch_size"}
"""Of lmms-eval's short flags, those that mean nothing to pytest: `-n`, `-c`, `-x` and `-w` are left to it."""


LISTS = {"list": "--lmms-list=tasks", "list_groups": "--lmms-list=groups", "list_tags": "--lmms-list=tags"}
"""Values of `--tasks` that only print."""


def refusal(spelling: Spelling, where: str) -> UsageError:
    """The error that a refused flag is."""
    text = f"lmms-eval's {spelling.name} does not exist here"
    return UsageError(explain(text, where=where, remedy=spelling.refused))


def translate(words: Sequence[str], *, options: frozenset[str]) -> tuple[list[str], list[str]]:
    """Turn a command line of lmms-eval into one of pytest; words that are not lmms-eval's stay as they are.

    Args:
        words: Behind `lmms_eval` or `lmms_eval eval`.
        options: Names of the options that exist here.

    Returns:
        Arguments of pytest, and what is to be told about ignored ones.

    Raises:
        UsageError: A flag that is refused, or one that lacks its value.
    """
    found: list[str] = []
    notices: list[str] = []
    arguments: list[str] = []
    for flag, name, value in _flags(words):
        if name is None:
            found.append(flag)
            continue
        spelling = BY_SPELLING[name]
        if name == "tasks" and value in LISTS:
            found.append(LISTS[value])
        elif spelling.ignored:
            notices.append(f"{flag}: {spelling.ignored}")
        elif spelling.model_argument:
            arguments.append(f"{spelling.model_argument}={value}")
        elif spelling.ours is not None and spelling.ours in options:
            option = "--lmms-" + spelling.ours.replace("_", "-")
            found.append(option if value is None else f"{option}={spelling.prefix}{value}")
        elif spelling.ours is not None:
            raise UsageError(explain(f"lmms-eval's {name} has no counterpart yet", where=flag))
        else:
            raise refusal(spelling, flag)
    return _with_model_arguments(found, arguments), notices


def _flags(words: Sequence[str]) -> Iterator[tuple[str, str | None, str | None]]:
    """(as typed, name, value) of each word; a word that is pytest's has no name."""
    pending = iter(words)
    for word in pending:
        flag, equals, value = word.partition("=")
        name = SHORT.get(flag) or (flag[2:].replace("-", "_") if flag.startswith("--") else "")
        spelling = BY_SPELLING.get(name)
        if spelling is None or (name == "verbosity" and value.lstrip("-").isdigit()):
            yield word, None, None
        elif not spelling.takes_value:
            yield flag, name, None
        elif equals:
            yield flag, name, value
        else:
            following = next(pending, None)
            if following is None or following.startswith("--"):
                raise UsageError(explain("a value is missing", where=flag, expected=f"{flag}=VALUE"))
            yield flag, name, following


def _with_model_arguments(words: list[str], arguments: list[str]) -> list[str]:
    """Add arguments to those of the model, where they do not say the same already."""
    if not arguments:
        return words
    option = "--lmms-model-args="
    given = next((w.removeprefix(option) for w in words if w.startswith(option)), "")
    names = {part.partition("=")[0].strip() for part in given.split(",")}
    added = [a for a in arguments if a.partition("=")[0] not in names]
    rest = [w for w in words if not w.startswith(option)]
    return [*rest, option + ",".join([*([given] if given else []), *added])]

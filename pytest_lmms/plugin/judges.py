"""`--lmms-judge`: the judges of this process, made of the same adapters as the model under test."""

from __future__ import annotations

import inspect
import itertools
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from pytest_lmms.errors import UsageError, explain
from pytest_lmms.inference.cache import ResponseStore
from pytest_lmms.inference.engine import Engine, EngineSettings
from pytest_lmms.judging import Judge, Judges
from pytest_lmms.llm_judge.calls import API_TYPES, PANEL, Opened, unsaid_arguments
from pytest_lmms.model_args import check_model_args
from pytest_lmms.plugin.budget import budget_of, stop_of
from pytest_lmms.plugin.recording import Recorder
from pytest_lmms.plugin.session import LmmsSession
from pytest_lmms.registry import MODELS

ENV = "env"
MODEL_PARAMETERS = ("model", "pretrained", "response")
"""What `NAME:MODEL` says, whichever of these the adapter has first."""


class JudgeSpec(NamedTuple):
    """One judge as the user named it."""

    name: str
    adapter: str
    arguments: dict[str, Any]


def parse_judges(
    text: str, arguments: Mapping[str, Any], environ: Mapping[str, str], *, where: str = "--lmms-judge"
) -> list[JudgeSpec]:
    """Read `NAME[:MODEL],...`, and check adapters and arguments; nothing is loaded.

    Args:
        text: What the user typed; `env` stands for lmms-eval's variables API_TYPE and MODEL_VERSION.
        arguments: Of every judge that has them; an argument that none has is an error.
        environ: For `env`.
        where: For messages.

    Raises:
        UsageError: An unknown adapter, or an argument that no judge has.
    """
    found = []
    for word in filter(None, (part.strip() for part in text.split(","))):
        name, _, model = (_from_variables(environ, where) if word == ENV else word).partition(":")
        adapter = MODELS.load(name)
        parameters = inspect.signature(adapter).parameters
        own = unsaid_arguments(environ.get("API_TYPE", "openai"), environ) if word == ENV else {}
        if model:
            parameter = next((p for p in MODEL_PARAMETERS if p in parameters), None)
            if parameter is None:
                raise UsageError(explain(f"{name} takes no model", where=f"{where} {word}", expected=f"{where} {name}"))
            own[parameter] = model
        accepts_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        own |= {k: v for k, v in arguments.items() if accepts_all or k in parameters}
        check_model_args(adapter, own, model_name=name, where=where)
        found.append(JudgeSpec(word if word != ENV else f"{name}:{model}", name, own))
    unused = [k for k in arguments if not any(k in spec.arguments for spec in found)]
    if unused:
        text = f"no judge has the argument {unused[0]!r}"
        raise UsageError(explain(text, where="--lmms-judge-args", remedy="pytest-lmms models names the adapters"))
    if not found:
        raise UsageError(explain("no judge is named", where=where, expected="openai:gpt-4o, say"))
    return found


def _from_variables(environ: Mapping[str, str], where: str) -> str:
    kind = environ.get("API_TYPE", "openai")
    if kind not in API_TYPES:
        expected = "one of " + ", ".join(API_TYPES)
        raise UsageError(explain(f"API_TYPE={kind}", where=f"{where} {ENV}", expected=expected))
    if kind == "dummy":
        return "dummy"
    if kind == "local":
        remedy = f"{where} openai:MODEL --lmms-judge-args base_url=http://localhost:8000/v1,api_key=none"
        raise UsageError(explain("API_TYPE=local", where=f"{where} {ENV}", remedy=remedy))
    model = environ.get("JUDGE_MODEL_VERSION") or environ.get("MODEL_VERSION")
    if not model:
        text = "neither JUDGE_MODEL_VERSION nor MODEL_VERSION is set"
        raise UsageError(explain(text, where=f"{where} {ENV}", remedy=f"or name the judge: {where} openai:MODEL"))
    return f"{API_TYPES[kind]}:{model}"


def start_judges(session: LmmsSession, recorder: Recorder) -> Judges | None:
    """The judges that the user named, loaded and started; None without any.

    Raises:
        UsageError: As for `parse_judges`.
        ModelError: One cannot be loaded.
    """
    settings = session.settings
    if settings.judge is None:
        return None
    where = settings.sources.get("judge", "--lmms-judge")
    specs = parse_judges(settings.judge, settings.judge_args, os.environ, where=where)
    folder, reads = recorder.folder.responses, session.reads_store
    return Judges([
        start_judge(
            spec,
            store=ResponseStore(folder, writer=f"judge{number}-{session.writer}", read=reads),
            settings=EngineSettings(
                timeout_seconds=settings.timeout, spend=budget_of(session), give_up_run=stop_of(session)
            ),
        )
        for number, spec in enumerate(specs)
    ])  # fmt: skip


def seat_panel(session: LmmsSession, recorder: Recorder, judges: Judges | None) -> None:
    """Have judges that task files call keep their replies in this run; `--lmms-judge` answers in their place."""
    numbers = itertools.count()

    def open_judge(name: str, adapter: str, arguments: Mapping[str, Any]) -> Opened:
        writer = f"asked{next(numbers)}-{session.writer}"
        store = ResponseStore(recorder.folder.responses, writer=writer, read=session.reads_store)
        settings = EngineSettings(
            timeout_seconds=session.settings.timeout, spend=budget_of(session), give_up_run=stop_of(session)
        )
        return name, start_judge(JudgeSpec(name, adapter, dict(arguments)), store=store, settings=settings).engine

    PANEL.open = open_judge
    PANEL.chosen = (judges.judges[0].name, judges.judges[0].engine) if judges is not None else None


def start_judge(
    spec: JudgeSpec, *, store: ResponseStore | None = None, settings: EngineSettings | None = None
) -> Judge:
    """Load one judge and start its engine.

    Raises:
        ModelError: It cannot be loaded.
    """
    model = MODELS.load(spec.adapter)(**spec.arguments)
    engine = Engine(model, store=store, settings=settings)
    engine.start()
    honours = getattr(model, "honours", None) or ()
    return Judge(spec.name, engine, is_structured="response_format" in honours)

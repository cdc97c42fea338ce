"""lmms-eval's side: its own classes over made rows. Only here is it driven."""

from __future__ import annotations

import contextlib
import copy
import functools
import inspect
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from forms import attempted, fingerprint, seeded, their_messages
from made_rows import columns_in, compared_texts, infer_kinds, make_rows, table_keys
from sandbox import make_file

MODEL = "qwen2_5_vl"


SPLITS = ("training_split", "validation_split", "test_split", "fewshot_split")


_TOOLS = 'json:[{"name": "wait", "description": "Let time pass."}, {"name": "look", "description": "See the state."}]'
RECIPES: Mapping[str, Mapping[str, str]] = {
    "tau2_bench": {
        "tools": _TOOLS,
        "user_query": "=My phone has no network abroad.",
        "initial_state": "json:"
        '{"abroad": true, "airplane_mode": true, "roaming_enabled": false, "mobile_data_working": false}',
        "target_state": 'json:{"mobile_data_working": true}',
    },
    "vending_bench2": {
        "tools": _TOOLS,
        "user_query": "=Run the machine at a profit.",
        "initial_state": "json:"
        '{"cash": 40.0, "inventory": 10, "days_elapsed": 0, "daily_demand": 3, "price": 2.0, "cost_per_unit": 1.0}',
        "target_cash": "json:50.0",
        "min_cash": "json:50.0",
        "max_days": "json:5",
    },
    "arc_": {"choices": "text_and_label", "answerKey": "letter"},
    "ovo_forward": {
        "id": "=0",
        "task": "=REC",
        "activity": "=jump",
        "test_info": 'json:[{"realtime": 2, "count": 1, "step": "mix", "type": 0}]',
    },
}
"""Columns of tasks that no guessing finds, by the start of the task's name."""


PRESTAGED = ("ovobench/chunked_videos/0_0.mp4",)
"""Files below HF_HOME without which a task starts a download."""


def their_config(path: Path) -> dict[str, Any]:
    """A task YAML as lmms-eval reads it, without the keys of its dataset."""
    from lmms_eval.utils import load_yaml_config

    config = dict(load_yaml_config(str(path), mode="full"))
    for key in ("dataset_name", "dataset_kwargs"):
        config.pop(key, None)
    if callable(config.get("process_docs")):
        config["process_docs"] = functools.partial(seeded, config["process_docs"])
    return config


def their_task(config: Mapping[str, Any], dataset: Any, files: Mapping[str, str] | None = None) -> Any:
    """Their own class over rows in memory, or over files that it reads itself."""
    from lmms_eval.api import task as api

    api.ConfigurableTask.process_results.retry.stop = lambda _state: True
    api.ConfigurableTask.process_results.retry.reraise = True

    class OnRows(api.ConfigurableMessagesTask):
        def download(self, dataset_kwargs: Any = None) -> None:
            if files is not None:
                super().download(dataset_kwargs)
                return
            splits = {config[s] for s in SPLITS if config.get(s)}
            self.dataset = dict.fromkeys(splits, dataset)
            if self.config.process_docs is not None:
                self.dataset = {s: self.config.process_docs(d) for s, d in self.dataset.items()}
            self.dataset_no_image = self.dataset

    config = copy.deepcopy(dict(config))
    config["dataset_path"] = "parquet"
    if files is not None:
        config["dataset_kwargs"] = {"data_files": dict(files)}
    return OnRows(config=config, model_name=MODEL)


def their_instances(task: Any, doc: Any, index: int) -> tuple[str, list[Any]]:
    """Prompt and requests of one document."""
    config = task.config
    context = task.fewshot_context(doc, config.num_fewshot or 0)
    metadata = {
        "task": config.task,
        "doc_id": index,
        "repeats": config.repeats,
        "split": config.test_split or config.validation_split,
    }
    from lmms_eval.api import task as api

    made = (
        api.ConfigurableTask.construct_requests(task, doc_id=index, ctx=context, metadata=metadata)
        if (config.output_type in ("multiple_choice", "loglikelihood"))
        else None
    )
    return context, made if isinstance(made, list) else [made] if made is not None else []


def first_messages(task: Any, doc: Any) -> Any:
    """What a chat model is asked first."""
    return task.doc_to_messages(doc)


def what_is_asked(task: Any, doc: Any) -> dict[str, Any]:
    """Prompt, target, number of media and parts of the chat, as a recording holds them; what fails is left out.

    Media are not counted where the row holds sounds, which several tasks only take from a decoder.
    """
    from record import storable

    prompt, _ = attempted(task.doc_to_text, doc)
    asked = {"prompt": prompt} if isinstance(prompt, str) else {}
    if task.config.doc_to_target is not None:
        target, error = attempted(task.doc_to_target, doc)
        asked |= {"target": storable(target)} if error is None else {}
    has_sound = any(isinstance(value, Mapping) and "sampling_rate" in value for value in doc.values())
    if task.config.doc_to_visual is not None and not has_sound:
        with contextlib.suppress(SystemExit):  # how some say that a file is missing
            visuals, error = attempted(task.doc_to_visual, doc)
            asked |= {"num_media": len(visuals or [])} if error is None else {}
    if task.config.doc_to_messages is not None:
        messages, error = attempted(first_messages, task, doc)
        if error is None:
            parts = [part for _, content in their_messages(messages) for part in content]
            shown = [{"type": kind, "text": text} if kind == "text" else {"type": kind} for kind, text in parts]
            asked["chat_messages"] = shown
    return asked


def sources_of(config: Mapping[str, Any]) -> tuple[list[Any], list[str]]:
    """Modules of a task's functions, and the texts that name columns: their sources and the templates."""
    modules, sources = {}, []
    for value in config.values():
        if callable(value):
            module = inspect.getmodule(inspect.unwrap(getattr(value, "func", value)))
            if module is None:
                module = sys.modules.get(getattr(value, "__module__", ""), None)
            with contextlib.suppress(OSError, TypeError):
                sources.append(inspect.getsource(value))
            if module is not None and "lmms_eval" in str(getattr(module, "__file__", "")):
                modules[id(module)] = module
        elif isinstance(value, str):
            sources.append(value)
    for module in modules.values():
        with contextlib.suppress(OSError, TypeError):
            sources.append(inspect.getsource(module))
    return list(modules.values()), sources


def prepare(config: Mapping[str, Any], seed: int) -> list[dict[str, Any]]:
    """Rows with which all functions of a task run.

    Raises:
        Unsuitable: There are none.
    """
    import datasets

    datasets.disable_progress_bars()
    for name in PRESTAGED:
        make_file(os.path.join(os.environ["HF_HOME"], name))
    modules, sources = sources_of(config)
    plain = [v for k, v in config.items() if k.startswith("doc_to") and isinstance(v, str) and v.isidentifier()]
    names = list(dict.fromkeys([*plain, *columns_in(sources)])) or ["question"]
    literals = table_keys(modules)
    for source in sources:
        with contextlib.suppress(SyntaxError, ValueError):
            literals += compared_texts(source)
    literals = sorted(dict.fromkeys(literals), key=lambda text: text.lower() not in str(config["task"]).lower())[:60]
    label = f"{seed}/{config['task']}"

    def attempt(kinds: Mapping[str, str]) -> None:
        stage = 0
        try:
            task = seeded(their_task, config, datasets.Dataset.from_list(make_rows(kinds, label)))
            stage = 1
            if not len(task.task_docs):
                raise ValueError("process_docs leaves no document")
            for index in range(len(task.task_docs)):
                doc = task.task_docs[index]
                stage = 2
                for visual in (task.doc_to_visual(doc) or []) if task.config.doc_to_visual else []:
                    fingerprint(visual)
                if task.config.output_type.startswith("generate_until"):
                    their_messages(first_messages(task, doc))
                stage = 3
                if task.config.output_type.startswith("generate"):
                    task.process_results(doc, ["The answer is A."])
                stage = 4
        except BaseException as e:
            e.stage = stage  # type: ignore[attr-defined]
            raise

    recipe = next((r for name, r in RECIPES.items() if str(config["task"]).startswith(name)), None)
    kinds = infer_kinds(names, attempt, recipe=recipe, literals=literals)
    return make_rows(kinds, label)

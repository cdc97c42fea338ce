"""Evaluating while a model trains: checkpoints by a server, or the model in memory by this process.

A server beside the training, which goes on meanwhile:

    trainer.add_callback(checkpoint_callback(EvalClient(URL), "qwen2_5_vl", ["mme"], settings={"limit": 200}))

The model in memory, which waits for the result; `base` has the processor:

    results = evaluate_in_memory(trainer.model, ["mme"], pretrained=base, adapter="qwen2_5_vl")
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pytest_lmms.errors import ModelError, explain

if TYPE_CHECKING:
    from pytest_lmms.client import EvalClient

logger = logging.getLogger(__name__)


def scores_of(results: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Scores as trackers take them: `{"eval/mme/mme_perception_score": 812.0}`.

    Args:
        results: Task -> `metric,filter` -> value, as in results.json.
    """
    found: dict[str, float] = {}
    for task, metrics in results.items():
        for key, value in metrics.items():
            name, comma, filter_name = key.partition(",")
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if comma and is_number and "_stderr" not in name and "," not in filter_name:
                found[f"eval/{task}/{name}" + ("" if filter_name == "none" else f"@{filter_name}")] = float(value)
    return found


# --- by a server --------------------------------------------------------------------------------------------------


def checkpoint_callback(
    client: EvalClient,
    model: str,
    tasks: Sequence[str],
    *,
    model_args: Mapping[str, Any] | None = None,
    processor: str | os.PathLike[str] | None = None,
    log: Callable[[dict[str, float], int], None] | None = None,
    poll_seconds: float = 10.0,
    final_wait_seconds: float = 3600.0,
    **fields: Any,
) -> Any:
    """A `transformers.TrainerCallback` that has a server evaluate every checkpoint that the Trainer saves.

    Training does not wait. Scores arrive at a later step than the checkpoint's, and are logged with the checkpoint's:
    in `state.log_history`, in a tracker through `log`, and in TensorBoard where the Trainer reports there. A job that
    fails is a warning in the log, and no score. A checkpoint has to exist until its job is done: let
    `save_total_limit` be larger than the queue grows.

    Args:
        client: Of the server; it has to see the Trainer's output folder, and to allow it (`--path-root`).
        model: Name of the model that loads a checkpoint.
        tasks: Names of tasks, groups or tags.
        model_args: Arguments of the model, beside `pretrained`.
        processor: Folder with the processor's files, for Trainers that save none: what a checkpoint lacks is copied.
        log: Called with scores and the checkpoint's step: `lambda scores, step: wandb.log({**scores, "step": step})`.
        poll_seconds: Time between two looks at the jobs.
        final_wait_seconds: How long the end of training waits for jobs that are not done.
        fields: As for `EvalClient.evaluate`.
    """
    from transformers import TrainerCallback

    jobs = _CheckpointJobs(client, model, tasks, model_args=model_args or {}, fields=fields, log=log)

    class EvaluateCheckpoints(TrainerCallback):
        """Submits on save, looks now and then, waits at the end."""

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002  (called by name)
            if not state.is_world_process_zero:
                return
            folder = Path(args.output_dir).resolve() / f"checkpoint-{state.global_step}"
            if processor is not None:
                _complete(folder, Path(processor))
            jobs.submit(folder, state.global_step)

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
            if jobs.waiting and time.monotonic() - jobs.looked > poll_seconds:
                jobs.look(args, state)

        def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
            deadline = time.monotonic() + final_wait_seconds
            jobs.look(args, state)
            while jobs.waiting and time.monotonic() < deadline:
                time.sleep(min(poll_seconds, 5.0))
                jobs.look(args, state)
            for job_id, step in jobs.waiting.items():
                logger.warning("the job %s of step %s is not done; the server goes on with it", job_id, step)

    return EvaluateCheckpoints()


class _CheckpointJobs:
    """Jobs of checkpoints, by the step that they belong to."""

    def __init__(
        self,
        client: EvalClient,
        model: str,
        tasks: Sequence[str],
        *,
        model_args: Mapping[str, Any],
        fields: Mapping[str, Any],
        log: Callable[[dict[str, float], int], None] | None,
    ) -> None:
        self.client = client
        self.model = model
        self.tasks = tasks
        self.model_args = model_args
        self.fields = fields
        self.log = log
        self.waiting: dict[str, int] = {}
        self.looked = 0.0

    def submit(self, folder: Path, step: int) -> None:
        """Send a checkpoint; a server that does not take it never ends a training."""
        try:
            arguments = {**self.model_args, "pretrained": str(folder)}
            job = self.client.evaluate(self.model, self.tasks, arguments, **self.fields)
        except Exception as e:  # noqa: BLE001
            logger.warning("%s is not evaluated: %s", folder.name, e)
            return
        self.waiting[job["job_id"]] = step

    def look(self, args: Any, state: Any) -> None:
        """Log what has ended."""
        self.looked = time.monotonic()
        for job_id, step in list(self.waiting.items()):
            try:
                job = self.client.get_job(job_id)
            except Exception as e:  # noqa: BLE001
                logger.warning("the evaluation server does not answer: %s", e)
                return
            if job["status"] in ("queued", "running"):
                continue
            del self.waiting[job_id]
            if job["status"] == "completed":
                self._tell(scores_of(job["result"]["results"]), step, args, state)
            else:
                logger.warning("the job of step %s is %s: %s", step, job["status"], job["error"])

    def _tell(self, scores: dict[str, float], step: int, args: Any, state: Any) -> None:
        state.log_history.append({**scores, "step": step})
        logger.info("step %s: %s", step, scores)
        if self.log is not None:
            self.log(scores, step)
        if "tensorboard" in (args.report_to or ()):
            from torch.utils.tensorboard import SummaryWriter

            folder = getattr(args, "logging_dir", None) or args.output_dir
            with SummaryWriter(os.path.join(folder, "lmms")) as writer:
                for name, value in scores.items():
                    writer.add_scalar(name, value, global_step=step)


PROCESSOR_SUFFIXES = (".json", ".jinja", ".txt", ".model")


def _complete(checkpoint: Path, processor: Path) -> None:
    """Copy the files of a processor that a checkpoint lacks."""
    for path in processor.iterdir():
        is_weights = path.name.endswith(".index.json")
        if path.suffix in PROCESSOR_SUFFIXES and not is_weights and not (checkpoint / path.name).exists():
            shutil.copyfile(path, checkpoint / path.name)


# --- in this process ----------------------------------------------------------------------------------------------


def evaluate_in_memory(
    model: Any,
    tasks: Sequence[str],
    *,
    pretrained: str | os.PathLike[str],
    adapter: str = "huggingface",
    model_args: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    output_path: str | os.PathLike[str] = "results",
    arguments: Sequence[str] = (),
) -> dict[str, Any]:
    """Evaluate a model that is in memory, such as `trainer.model`, and return when done.

    pytest runs in this process, with the fixture `lmms_model` overridden; its output goes where this process's goes.
    The model is put into evaluation mode, and back. Where several processes train, call it in one of them.

    Args:
        model: Of transformers, of the adapter's family.
        tasks: Names of tasks, groups or tags.
        pretrained: Folder or hub name with the processor and the configuration; its weights are not read.
        adapter: Name of the model that knows how to ask it.
        model_args: Arguments of the adapter, beside `pretrained`.
        settings: Options, by name without `--lmms-`: `{"data": "mini", "limit": 8}`.
        output_path: Folder for run folders.
        arguments: More arguments of pytest.

    Returns:
        What results.json holds: `results`, `groups`, `counts`, `efficiency`, ...

    Raises:
        UsageError: Unknown adapter, or an argument that it does not have.
        ModelError: The adapter cannot work around a model in memory, or pytest ended without results.
    """
    from pytest_lmms.model_args import check_model_args
    from pytest_lmms.registry import MODELS

    make = MODELS.load(adapter)
    if not hasattr(make, "around"):
        expected = "an adapter of transformers, such as huggingface, qwen2_5_vl"
        raise ModelError(
            explain("it cannot work with a model in memory", where=f"adapter={adapter}", expected=expected)
        )
    arguments_of_model = {**(model_args or {}), "pretrained": os.fspath(pretrained)}
    check_model_args(make, arguments_of_model, model_name=adapter, where="model_args")
    was_training = bool(model.training)
    model.eval()
    try:
        return _run(make.around(model, **arguments_of_model), tasks, settings or {}, output_path, arguments)
    finally:
        model.train(was_training)


def _option(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return f"--{'' if value else 'no-'}lmms-{name}"
    return f"--lmms-{name}={value}"


def _run(
    ours: Any,
    tasks: Sequence[str],
    settings: Mapping[str, Any],
    output_path: str | os.PathLike[str],
    arguments: Sequence[str],
) -> dict[str, Any]:
    import pytest

    @pytest.fixture(scope="session")
    def lmms_model() -> Any:
        return ours

    holder = ModuleType("lmms_in_memory")
    holder.lmms_model = lmms_model  # type: ignore[attr-defined]

    class Listener:
        """A plugin that brings the other one in behind ours, whose fixture it overrides; keeps the results."""

        results: Mapping[str, Any] | None = None

        def pytest_configure(self, config: pytest.Config) -> None:
            config.pluginmanager.register(holder, "lmms-in-memory")

        def pytest_lmms_run_finished(self, results: Mapping[str, Any]) -> None:
            self.results = results

    listener = Listener()
    words = [_option(name.replace("_", "-"), value) for name, value in settings.items()]
    words += [f"--lmms-tasks={','.join(tasks)}", f"--lmms-output-path={os.fspath(output_path)}", "--color=no"]
    words += ["-p", "no:cacheprovider", "-W", "ignore:Module already imported", "-c", os.devnull, "--rootdir=."]
    code = pytest.main([*words, *arguments], plugins=[listener])
    if listener.results is None:
        text = f"pytest ended with exit code {int(code)} and no results: it has said why"
        raise ModelError(explain(text, where="evaluate_in_memory"))
    return dict(listener.results)

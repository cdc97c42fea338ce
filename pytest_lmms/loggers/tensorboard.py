"""TensorBoard: one event file a run, numbers at step 0."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_lmms.loggers import scalars, settings

LIBRARY = "tensorboard"


def log(results: Mapping[str, Any], run_folder: Path, *, folder: str | None = None, step: int = 0) -> str:
    """Log a finished run.

    Args:
        results: What results.json holds.
        run_folder: Where it lies.
        folder: For the event files of many runs, each in a folder of its own; None writes into the run folder.
        step: Of all numbers: of a checkpoint, for instance.
    """
    events: Any = importlib.import_module("tensorboard.summary.writer.event_file_writer")
    protos: Any = importlib.import_module("tensorboard.compat.proto.event_pb2")
    summaries: Any = importlib.import_module("tensorboard.compat.proto.summary_pb2")
    tensors: Any = importlib.import_module("tensorboard.compat.proto.tensor_pb2")
    target = Path(folder).expanduser() / run_folder.name if folder else run_folder / "tensorboard"
    writer = events.EventFileWriter(str(target))
    try:
        values = [summaries.Summary.Value(tag=tag, simple_value=value) for tag, value in scalars(results)]
        writer.add_event(protos.Event(step=step, summary=summaries.Summary(value=values)))
        text = json.dumps(settings(results), indent=1, default=str)
        shown = summaries.Summary.Value(
            tag="settings",
            metadata=summaries.SummaryMetadata(plugin_data=summaries.SummaryMetadata.PluginData(plugin_name="text")),
            tensor=tensors.TensorProto(dtype="DT_STRING", string_val=[f"```\n{text}\n```".encode()]),
        )
        writer.add_event(protos.Event(step=step, summary=summaries.Summary(value=[shown])))
    finally:
        writer.close()
    return f"tensorboard: {target}"

"""Evaluation of a model while a real Trainer trains it."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from pytest_lmms import catalog
from pytest_lmms.errors import ModelError, UsageError
from pytest_lmms.training import checkpoint_callback, evaluate_in_memory, scores_of

torch = pytest.importorskip("torch")
TINY = catalog.folder("models") / "tiny_vlm"
sys.path.insert(0, str(Path(__file__).parent / "server"))


@pytest.fixture
def model():
    from transformers import AutoModelForImageTextToText

    return AutoModelForImageTextToText.from_pretrained(TINY)


class Rows(torch.utils.data.Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, index):
        tokens = torch.tensor([3, 4, 5, 6 + index])
        return {"input_ids": tokens, "labels": tokens, "attention_mask": torch.ones(4, dtype=torch.long)}


def train(model, folder, callback, *, report_to=()):
    from transformers import AutoTokenizer, Trainer, TrainingArguments

    arguments = TrainingArguments(
        str(folder), max_steps=4, save_steps=2, per_device_train_batch_size=2, report_to=list(report_to), use_cpu=True,
        learning_rate=0.02, disable_tqdm=True,
    )  # fmt: skip
    tokenizer = AutoTokenizer.from_pretrained(TINY)
    trainer = Trainer(
        model=model, args=arguments, train_dataset=Rows(), callbacks=[callback], processing_class=tokenizer
    )
    trainer.train()
    return trainer


def test_checkpoints_are_evaluated_by_a_server_and_logged_at_their_step(model, tmp_path):
    from served import Served

    server = Served(tmp_path)
    logged = []
    try:
        callback = checkpoint_callback(
            server.client, "qwen2_5_vl", ["mme"], model_args={"device": "cpu"}, settings={"data": "mini"},
            processor=TINY, poll_seconds=0.2, log=lambda scores, step: logged.append((step, scores)),
        )  # fmt: skip
        trainer = train(model, tmp_path / "out", callback)
    finally:
        server.stop()
    assert [step for step, _ in logged] == [2, 4]
    assert all("eval/mme/mme_perception_score" in scores for _, scores in logged)
    steps = [e["step"] for e in trainer.state.log_history if "eval/mme/mme_perception_score" in e]
    assert steps == [2, 4]


def test_a_server_that_refuses_or_is_gone_never_ends_a_training(model, tmp_path, caplog):
    from pytest_lmms.client import EvalClient

    client = EvalClient("http://127.0.0.1:9", timeout=0.5)
    with caplog.at_level(logging.WARNING, "pytest_lmms.training"):
        trainer = train(model, tmp_path, checkpoint_callback(client, "qwen2_5_vl", ["mme"], poll_seconds=0.1))
    assert trainer.state.global_step == 4
    assert "checkpoint-2 is not evaluated" in caplog.text


def test_a_job_that_fails_is_a_warning_and_no_score(caplog):
    client = SimpleNamespace(
        evaluate=lambda *_, **__: {"job_id": "1"}, get_job=lambda _: {"status": "failed", "error": "no memory"}
    )
    callback = checkpoint_callback(client, "m", ["t"])
    state = SimpleNamespace(is_world_process_zero=True, global_step=7, log_history=[])
    arguments = SimpleNamespace(output_dir="out", report_to=[])
    with caplog.at_level(logging.WARNING, "pytest_lmms.training"):
        callback.on_save(arguments, state, None)
        callback.on_train_end(arguments, state, None)
    assert "step 7 is failed: no memory" in caplog.text
    assert not state.log_history


def test_only_the_first_process_of_a_training_asks(tmp_path):
    asked = []
    callback = checkpoint_callback(SimpleNamespace(evaluate=lambda *a, **_: asked.append(a)), "m", ["t"])
    state = SimpleNamespace(is_world_process_zero=False, global_step=1)
    callback.on_save(SimpleNamespace(output_dir=str(tmp_path)), state, None)
    assert not asked


def in_memory(model, tmp_path, **more):
    settings = {"data": "mini", "report": False, **more.pop("settings", {})}
    return evaluate_in_memory(
        model, ["mme"], pretrained=TINY, settings=settings, output_path=tmp_path, arguments=["-q"],
        **{"adapter": "qwen2_5_vl", **more},
    )  # fmt: skip


def test_the_model_in_memory_is_evaluated_as_it_is_now(model, tmp_path):
    model.train()
    first = scores_of(in_memory(model, tmp_path)["results"])
    assert model.training
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    second = scores_of(in_memory(model, tmp_path)["results"])
    assert first["eval/mme/mme_perception_score"] > 0
    assert second["eval/mme/mme_perception_score"] != first["eval/mme/mme_perception_score"]


def test_what_cannot_be_evaluated_in_memory_says_why(model, tmp_path):
    with pytest.raises(ModelError, match="cannot work with a model in memory"):
        in_memory(model, tmp_path, adapter="dummy")
    with pytest.raises(UsageError, match="max_pixels"):
        in_memory(model, tmp_path, model_args={"max_pixel": 3})
    with pytest.raises(ModelError, match="exit code 4"):
        in_memory(model, tmp_path, settings={"limit": "many"})
    assert not list(tmp_path.iterdir())


def test_scores_have_names_that_trackers_group():
    results = {
        "mme": {"alias": "mme", "acc,none": 0.5, "acc_stderr,none": 0.1, "acc,first": 0.25, "text,none": "a",
                "acc,none,sub_scores": {"x": 1}, "n_scored": 8},
    }  # fmt: skip
    assert scores_of(results) == {"eval/mme/acc": 0.5, "eval/mme/acc@first": 0.25}

"""Runs on a real Ray cluster of several nodes on this machine, whose actors and nodes die in the middle."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from pathlib import Path

import pytest
from run_helpers import Lab, lab, timeless  # noqa: F401

CANARY = "sk-canary-5b2e60c8f1"
ray = pytest.importorskip("ray", reason="ray is not installed")

CONFTEST = """
from pathlib import Path

def pytest_lmms_register_models(register):
    register("mortal", str(Path(__file__).with_name("mortal.py")) + ":Mortal")
"""

MORTAL = """
import os, time
from pathlib import Path
import ray
from pytest_lmms.inference.model import HONOURS_ALL
from pytest_lmms.records import Response, TokenCounts


class Mortal:
    honours = HONOURS_ALL
    batch_invariant = True

    def __init__(self, folder, *, seconds=0.0, wanted_nodes=1, fails_to_load=False):
        if fails_to_load:
            raise OSError("no such weights")
        self.folder, self.seconds, self.wanted_nodes = Path(folder), seconds, wanted_nodes

    @property
    def identity(self):
        return {"adapter": "Mortal"}

    def num_nodes(self):
        return len({line.split()[2] for line in (self.folder / "asked").read_text().splitlines()})

    def generate(self, requests):
        node = ray.get_runtime_context().get_node_id() if ray.is_initialized() else "none"
        for request in requests:
            with (self.folder / "asked").open("a") as file:
                file.write(f"{request.doc_id} {os.getpid()} {node} {os.environ.get('SAID_BY_FILE')} "
                           f"{len(os.environ.get('SAID_API_KEY', ''))}\\n")
        deadline = time.monotonic() + 60  # the others may be slow to start
        while time.monotonic() < deadline and self.num_nodes() < self.wanted_nodes:
            time.sleep(0.05)
        for request in requests:
            if (self.folder / f"kills-{request.doc_id}").exists():
                os._exit(1)
            try:
                os.unlink(self.folder / f"kills-once-{request.doc_id}")
            except FileNotFoundError:
                continue
            os._exit(1)
        for request in requests:
            try:
                os.unlink(self.folder / f"hangs-once-{request.doc_id}")
            except FileNotFoundError:
                if not (self.folder / f"hangs-{request.doc_id}").exists():
                    continue
            time.sleep(10**6)
        time.sleep(self.seconds)
        return [
            Response(text="A" if r.doc_id % 3 else "B", tokens=TokenCounts(input_tokens=1, output_tokens=1))
            for r in requests
        ]
"""


@pytest.fixture(scope="module")
def cluster():
    from ray.cluster_utils import Cluster

    memory = 80 * 2**20
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": memory})
    made.add_node(num_cpus=1, object_store_memory=memory)
    made.add_node(num_cpus=1, object_store_memory=memory)
    yield made
    made.shutdown()


@pytest.fixture
def ray_lab(lab: Lab, cluster) -> Lab:  # noqa: F811
    (lab.path / "conftest.py").write_text(CONFTEST)
    (lab.path / "mortal.py").write_text(MORTAL)
    lab.arguments = lambda seconds=0.0, extra="": (
        "--lmms-model", "mortal", "--lmms-model-args", f"folder={lab.path},seconds={seconds}{extra}",
        "--lmms-batch-size", "2",
    )  # fmt: skip
    lab.on_cluster = ("--lmms-ray", cluster.address, "--lmms-replicas", "2")
    return lab


def nodes_of(lab: Lab) -> set[str]:  # noqa: F811
    return {line.split()[2] for line in (lab.path / "asked").read_text().splitlines()}


def undisturbed(lab: Lab) -> list[dict]:  # noqa: F811
    """Records of the same run in one process, without Ray."""
    run = lab.run(*lab.arguments())
    assert run.code == 0, run
    records = lab.records()
    lab.forget()
    return timeless(records)


def test_replicas_on_several_nodes_give_the_records_of_one_process_and_ask_nothing_twice(ray_lab):
    ray_lab.task(30)
    expected = undisturbed(ray_lab)
    config = ray_lab.path / "exp.yaml"
    config.write_text(json.dumps({"env": {"SAID_BY_FILE": "yes"}, "ray": ray_lab.on_cluster[1], "replicas": 2}))
    run = ray_lab.run("--lmms-config", str(config), *ray_lab.arguments(extra=",wanted_nodes=2"))
    assert run.code == 0, run
    assert timeless(ray_lab.records()) == expected
    assert set(ray_lab.asked().values()) == {1}
    assert len(nodes_of(ray_lab)) == 2
    assert {line.split()[3] for line in (ray_lab.path / "asked").read_text().splitlines()} == {"yes"}


def test_a_key_of_a_config_file_reaches_every_replica_and_none_of_rays_logs(ray_lab, cluster):
    ray_lab.task(6)
    environment = {"SAID_BY_FILE": "told-to-everybody", "SAID_API_KEY": CANARY}
    config = {"env": environment, "ray": ray_lab.on_cluster[1], "replicas": 2}
    (ray_lab.path / "exp.yaml").write_text(json.dumps(config))
    run = ray_lab.run("--lmms-config", "exp.yaml", *ray_lab.arguments())
    assert run.code == 0, run
    assert {line.split()[-1] for line in (ray_lab.path / "asked").read_text().splitlines()} == {str(len(CANARY))}
    logs = [path for path in Path(cluster.head_node.get_session_dir_path()).rglob("*") if path.is_file()]
    assert any(environment["SAID_BY_FILE"].encode() in path.read_bytes() for path in logs)
    written = [path for path in ray_lab.path.glob("results/**/*") if path.is_file()]
    assert not [path for path in (*logs, *written) if CANARY.encode() in path.read_bytes()]
    assert CANARY not in run.output


def test_an_actor_that_dies_is_replaced_and_its_batch_asked_again(ray_lab):
    ray_lab.task(40)
    expected = undisturbed(ray_lab)
    for document in (9, 20):
        (ray_lab.path / f"kills-once-{document}").touch()
    run = ray_lab.run(*ray_lab.on_cluster, *ray_lab.arguments(0.05))
    assert run.code == 0, run
    assert timeless(ray_lab.records()) == expected
    again = Counter(ray_lab.asked().values())
    assert again[1] >= 40 - 2 * 2 * 2, again  # two deaths, two batches of two in hand each
    assert set(again) <= {1, 2, 3}
    assert "2 actor(s) died" in run.output


def test_a_node_that_goes_slows_a_run_and_does_not_end_it(ray_lab, cluster):
    ray_lab.task(60)
    expected = undisturbed(ray_lab)
    node = cluster.add_node(num_cpus=1, object_store_memory=80 * 2**20)
    process = ray_lab.start(*ray_lab.arguments(0.4), "--lmms-ray", cluster.address, "--lmms-replicas", "3")
    deadline = time.monotonic() + 100
    while not (ray_lab.path / "asked").exists() or len(nodes_of(ray_lab)) < 3:
        assert time.monotonic() < deadline, (ray_lab.path / "output").read_text()
        time.sleep(0.05)
    cluster.remove_node(node, allow_graceful=False)
    run = ray_lab.finish(process)
    assert run.code == 0, run
    assert timeless(ray_lab.records()) == expected
    assert sum(ray_lab.asked().values()) <= 60 + 4
    assert "1 actor(s) died; 2 of 3 replicas at the end" in run.output


def test_a_document_that_kills_every_actor_is_the_only_error(ray_lab):
    ray_lab.task(12)
    (ray_lab.path / "kills-7").touch()
    run = ray_lab.run(*ray_lab.on_cluster, *ray_lab.arguments())
    assert run.code == 1, run
    records = ray_lab.records()
    assert [r["doc_id"] for r in records if r["status"] == "error"] == [7]
    assert "actors died or hung while they had this batch" in records[7]["error"]


def test_an_actor_that_hangs_is_killed_after_the_timeout_and_its_batch_asked_again(ray_lab):
    ray_lab.task(12)
    expected = undisturbed(ray_lab)
    (ray_lab.path / "hangs-once-5").touch()
    run = ray_lab.run(*ray_lab.on_cluster, *ray_lab.arguments(), "--lmms-timeout", "5")
    assert run.code == 0, run
    assert timeless(ray_lab.records()) == expected
    assert re.search(r"1 hung and was killed; [12] of 2 replicas at the end", run.output), run


def test_a_document_that_hangs_every_actor_is_the_only_error(ray_lab):
    ray_lab.task(12)
    (ray_lab.path / "hangs-7").touch()
    run = ray_lab.run(*ray_lab.on_cluster, *ray_lab.arguments(), "--lmms-timeout", "4")
    assert run.code == 1, run
    records = ray_lab.records()
    assert [r["doc_id"] for r in records if r["status"] == "error"] == [7]
    assert "actors died or hung while they had this batch" in records[7]["error"]
    assert "no response within 4 s" in records[7]["error"]


def test_when_every_replica_is_gone_for_good_what_is_left_is_an_error_and_has_no_score(ray_lab):
    ray_lab.task(40)
    for document in range(20, 40):
        (ray_lab.path / f"kills-{document}").touch()
    run = ray_lab.run("--lmms-ray", ray_lab.on_cluster[1], "--lmms-replicas", "1", *ray_lab.arguments())
    assert run.code == 1, run
    records = ray_lab.records()
    scored = [r for r in records if r["status"] == "scored"]
    assert all(r["doc_id"] < 20 and "exact_match" in r for r in scored)
    assert len(records) == 40
    assert not any("exact_match" in r for r in records if r["status"] == "error")
    assert "none of 1 replica of mortal is left" in records[39]["error"]


def test_a_run_on_a_cluster_that_was_cut_short_goes_on_without_asking_twice(ray_lab):
    ray_lab.task(30)
    expected = undisturbed(ray_lab)
    run = ray_lab.run(*ray_lab.on_cluster, *ray_lab.arguments(0.05), "--lmms-max-requests", "10")
    assert run.code == 2, run
    assert 10 <= sum(ray_lab.asked().values()) < 30
    arguments = ray_lab.arguments(0.05)
    run = ray_lab.run(*ray_lab.on_cluster, *arguments, "--lmms-max-requests", "100", "--lmms-resume")
    assert run.code == 0, run
    assert timeless(ray_lab.records()) == expected
    assert set(ray_lab.asked().values()) == {1}


def test_what_keeps_a_model_from_loading_is_told_once_per_document_as_the_cause(ray_lab):
    ray_lab.task(3)
    run = ray_lab.run(*ray_lab.on_cluster, *ray_lab.arguments(extra=",fails_to_load=true"))
    assert run.code == 1, run
    assert "no such weights" in run.output
    assert all(r["status"] == "error" for r in ray_lab.records())


def test_the_tiny_model_says_the_same_on_a_cluster(ray_lab):
    pytest.importorskip("transformers", reason="transformers is not installed")
    (ray_lab.path / "bench").symlink_to(Path(__file__).parents[2] / "benchmarks" / "mme")
    asked = ("--lmms-model", "tiny_vlm", "--lmms-batch-size", "2")
    texts = []
    for extra in ((), ray_lab.on_cluster):
        run = ray_lab.run(*asked, *extra)
        assert run.code == 0, run
        texts.append(timeless(ray_lab.records("mme")))
    assert texts[0] == texts[1]
    assert len(texts[0]) > 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--lmms-ray", "127.0.0.1:1"), "no Ray cluster answers"),
        (("--lmms-replicas", "2"), "there is no Ray cluster"),
        (("--lmms-ray", "auto", "-n", "2"), "two ways to have several replicas"),
        (("--lmms-ray", "auto", "--lmms-gpus-per-replica", "some"), "'some' is no number"),
    ],
)
def test_a_command_that_cannot_be_meant_is_refused(lab, arguments, said):  # noqa: F811
    (lab.path / "conftest.py").write_text("")
    lab.task(2)
    run = lab.run("--lmms-model", "dummy", *arguments)
    assert run.code == 4, run
    assert said in run.output


def test_a_remote_model_needs_no_replicas(lab):  # noqa: F811
    (lab.path / "conftest.py").write_text("")
    lab.task(2)
    run = lab.run("--lmms-model", "openai", "--lmms-model-args", "model=x", "--lmms-ray", "auto")
    assert run.code == 4, run
    assert "keeps many requests in flight by itself" in run.output

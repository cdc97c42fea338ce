"""Replicas on a Ray cluster of one machine; larger ones that lose nodes: tests/plugin/test_ray.py (`make test-ray`)."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pytest_lmms.errors import ModelError
from pytest_lmms.inference.ray_pool import RayPool
from pytest_lmms.records import Generation, Message, Request

ray = pytest.importorskip("ray", reason="ray is not installed")

CODE = """
import os, signal, time
from pytest_lmms.errors import ModelError
from pytest_lmms.records import Response

class Echo:
    batch_invariant = True
    identity = {"adapter": "Echo"}

    def __init__(self, folder):
        self.folder = folder
        open(os.path.join(folder, f"pid-{os.getpid()}"), "w").close()
        if os.path.exists(os.path.join(folder, "no-weights")):
            raise OSError("no such weights")

    def happens(self, event):
        try:
            os.unlink(os.path.join(self.folder, event))
        except FileNotFoundError:
            return False
        return True

    def generate(self, requests):
        if self.happens("dies"):
            os._exit(1)
        if self.happens("sleeps"):
            time.sleep(10**6)
        if self.happens("is-frozen"):
            os.kill(os.getpid(), signal.SIGSTOP)
        if requests[0].text == "fails":
            raise ModelError("cannot")
        if requests[0].text == "hangs":
            time.sleep(10**6)
        return [Response(text=request.text) for request in requests]
"""


@pytest.fixture(scope="module")
def cluster():
    ray.init(num_cpus=2, log_to_driver=False, include_dashboard=False, object_store_memory=80 * 2**20)
    yield
    ray.shutdown()


@pytest.fixture
def start(cluster, tmp_path):
    """Start a pool of echoes; folder `tmp_path` says what happens to them."""
    (tmp_path / "echo.py").write_text(CODE)
    made = []

    def start(**settings):
        made.append(RayPool("echo", f"{tmp_path}/echo.py:Echo", {"folder": str(tmp_path)}, address="auto", **settings))
        return made[-1]

    yield start
    for pool in made:
        pool.close()


def batch(*texts):
    return [
        Request(task="t", doc_id=n, messages=(Message(role="user", content=(t,)),), generation=Generation())
        for n, t in enumerate(texts)
    ]


def texts_of(pool, *texts):
    return [response.text for response in pool.generate(batch(*texts))]


def pids(folder):
    return [path.name.removeprefix("pid-") for path in folder.glob("pid-*")]


def wait_until(is_so, describe):
    deadline = time.monotonic() + 120
    while not is_so():
        assert time.monotonic() < deadline, describe()
        time.sleep(0.1)


def test_batches_are_answered_in_order_errors_are_those_of_the_model_and_a_dead_actor_is_replaced(start, tmp_path):
    pool = start(num_replicas=1)
    assert pool.identity == {"adapter": "Echo"}
    assert pool.batch_invariant
    assert not hasattr(pool, "score")
    assert pool.num_parallel == 2
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(pool.generate, [batch(f"a{n}", f"b{n}") for n in range(8)]))
    assert [[r.text for r in each] for each in answers] == [[f"a{n}", f"b{n}"] for n in range(8)]
    with pytest.raises(ModelError, match="cannot"):
        pool.generate(batch("fails"))
    (tmp_path / "dies").touch()
    assert texts_of(pool, "still", "here") == ["still", "here"]
    assert pool.notices == ["Ray: 1 actor(s) died; 1 of 1 replicas at the end"]


def test_a_replica_that_cannot_be_started_again_is_given_up_and_the_others_go_on(start, tmp_path):
    pool = start(num_replicas=2)
    wait_until(lambda: not pool.notices, lambda: pool.notices)  # both are there
    (tmp_path / "no-weights").touch()
    (tmp_path / "dies").touch()
    assert texts_of(pool, "goes", "on") == ["goes", "on"]
    wait_until(lambda: "given up" in str(pool.notices), lambda: pool.notices)
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(pool.generate, [batch(f"c{n}") for n in range(8)]))
    assert [each[0].text for each in answers] == [f"c{n}" for n in range(8)]
    (notice,) = pool.notices
    assert notice.startswith("Ray: 1 actor(s) died; 1 of 2 replicas at the end; 1 given up for good: 5 actors in a row")
    assert notice.endswith("could not load, the last of: OSError: no such weights")


def test_a_replica_whose_model_loads_at_the_second_try_comes_back(start, tmp_path):
    pool = start(num_replicas=1)
    (tmp_path / "no-weights").touch()
    (tmp_path / "dies").touch()
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(texts_of, pool, "patient")
        wait_until(lambda: len(pids(tmp_path)) > 1, lambda: pids(tmp_path))  # it has been tried again
        (tmp_path / "no-weights").unlink()
        assert asked.result(120) == ["patient"]
    assert pool.notices == ["Ray: 1 actor(s) died; 1 of 1 replicas at the end"]


@pytest.mark.parametrize("event", ["sleeps", "is-frozen"])
def test_an_actor_that_hangs_is_killed_and_its_batch_asked_again(start, tmp_path, event):
    pool = start(num_replicas=1, timeout_seconds=5)
    (tmp_path / event).touch()
    (process,) = pids(tmp_path)
    assert texts_of(pool, "at", "last") == ["at", "last"]
    wait_until(lambda: not Path(f"/proc/{process}").exists(), lambda: f"process {process} is still there")
    assert pool.notices == ["Ray: 0 actor(s) died; 1 hung and was killed; 1 of 1 replicas at the end"]


def test_a_batch_that_hangs_every_actor_is_an_error_and_the_next_is_answered(start):
    pool = start(num_replicas=1, timeout_seconds=3)
    with pytest.raises(ModelError, match="2 actors died or hung while they had this batch, the last of: no response"):
        pool.generate(batch("hangs"))
    assert texts_of(pool, "next") == ["next"]


def test_a_model_that_loads_nowhere_is_told_at_once(start, tmp_path):
    (tmp_path / "no-weights").touch()
    with pytest.raises(ModelError, match="none of 2 replicas of echo is left: OSError: no such weights"):
        start(num_replicas=2)

"""Replicas on a Ray cluster of one machine; larger ones that lose nodes: tests/plugin/test_ray.py (`make test-ray`)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from pytest_lmms.errors import ModelError
from pytest_lmms.records import Generation, Message, Request

pytest.importorskip("ray", reason="ray is not installed")

CODE = """
import os
from pytest_lmms.errors import ModelError
from pytest_lmms.records import Response

class Echo:
    batch_invariant = True
    identity = {"adapter": "Echo"}

    def __init__(self, folder):
        self.folder = folder

    def generate(self, requests):
        marker = os.path.join(self.folder, "dies")
        if os.path.exists(marker):
            os.unlink(marker)
            os._exit(1)
        if requests[0].text == "fails":
            raise ModelError("cannot")
        return [Response(text=request.text) for request in requests]
"""


def batch(*texts):
    return [
        Request(task="t", doc_id=n, messages=(Message(role="user", content=(t,)),), generation=Generation())
        for n, t in enumerate(texts)
    ]


def test_batches_are_answered_in_order_errors_are_those_of_the_model_and_a_dead_actor_is_replaced(tmp_path):
    from pytest_lmms.inference.ray_pool import RayPool

    (tmp_path / "echo.py").write_text(CODE)
    pool = RayPool("echo", f"{tmp_path}/echo.py:Echo", {"folder": str(tmp_path)}, address="local", num_replicas=1)
    try:
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
        assert [r.text for r in pool.generate(batch("still", "here"))] == ["still", "here"]
        assert pool.notices == ["Ray: 1 actor(s) died; 1 of 1 replicas at the end"]
    finally:
        pool.close()

"""A Ray cluster on this machine, and an adapter for it whose every question goes to the soak's server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

STORE_BYTES = 80 * 2**20
"""Of each node's object store; a batch is small."""
CONFTEST = """
from pathlib import Path

def pytest_lmms_register_models(register):
    register("asker", str(Path(__file__).with_name("asker.py")) + ":Asker")
"""
ASKER = '''
import json
import os
import urllib.request
from pathlib import Path

from pytest_lmms.inference.model import HONOURS_ALL
from pytest_lmms.records import Response, TokenCounts


class Asker:
    """Asks the server one request after the other; notes in which process."""

    honours = HONOURS_ALL
    batch_invariant = True

    def __init__(self):
        folder = Path(__file__).parent
        self.url = (folder / "url").read_text()
        (folder / "actors").mkdir(exist_ok=True)
        (folder / "actors" / str(os.getpid())).touch()

    @property
    def identity(self):
        return {"adapter": "Asker"}

    def generate(self, requests):
        return [self.ask(request) for request in requests]

    def ask(self, request):
        body = {"messages": [{"role": "user", "content": request.messages[-1].content[0]}]}
        asked = urllib.request.Request(self.url + "/chat/completions", json.dumps(body).encode())
        with urllib.request.urlopen(asked, timeout=60) as reply:
            value = json.load(reply)
        text = value["choices"][0]["message"]["content"]
        return Response(text=text, finish_reason="stop", tokens=TokenCounts(input_tokens=11, output_tokens=4))
'''


@contextlib.contextmanager
def cluster() -> Iterator[str]:
    """The address of a cluster of two nodes that may hold an actor each; it is gone afterwards."""
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": STORE_BYTES})
    try:
        for _ in range(2):
            made.add_node(num_cpus=1, object_store_memory=STORE_BYTES)
        yield made.address
    finally:
        made.shutdown()


def write_adapter(folder: Path, url: str) -> None:
    """Put the adapter `asker` into a lab's folder; it takes no arguments, which results.json would tell."""
    (folder / "url").write_text(url)
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "asker.py").write_text(ASKER)


def actors(folder: Path) -> list[int]:
    """Processes that have loaded the adapter and have not ended, those of tasks before this one too."""
    paths = (folder / "actors").glob("*") if (folder / "actors").exists() else ()
    return [int(path.name) for path in paths if Path("/proc", path.name).exists()]

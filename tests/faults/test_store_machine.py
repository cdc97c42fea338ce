"""The response store under any order of writes, kills, full disks and readers: what it acknowledged, it gives out."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pytest_lmms.inference.cache import ResponseStore
from pytest_lmms.records import Response

KEYS = st.sampled_from(["a", "b", "c", "d", "e"])
TEXTS = st.text(max_size=30)


class StoreMachine(RuleBasedStateMachine):
    """Two writers of one folder; `said` is what any reader must find."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.stores = {}
        self.said = {}

    def teardown(self):
        for store in self.stores.values():
            store.close()
        shutil.rmtree(self.folder)

    @rule(writer=st.sampled_from(["gw0", "gw1"]), batch=st.dictionaries(KEYS, TEXTS, min_size=1, max_size=3))
    def put(self, writer, batch):
        store = self.stores.setdefault(writer, ResponseStore(self.folder, writer=writer))
        store.put([(key, Response(text=text)) for key, text in batch.items()])
        for key, text in batch.items():
            self.said.setdefault(key, set()).add(text)

    @precondition(lambda self: self.stores)
    @rule(data=st.data(), batch=st.dictionaries(KEYS, TEXTS, min_size=1, max_size=2), share=st.floats(0, 0.99))
    def kill_in_the_middle_of_a_write(self, data, batch, share):
        writer = data.draw(st.sampled_from(sorted(self.stores)))
        store = self.stores.pop(writer)
        path = store._path
        before = path.stat().st_size
        store.put([(key, Response(text=text)) for key, text in batch.items()])
        store.close()
        first = path.read_bytes()[before:].index(b"}\n")  # a line that lacks nothing but its end counts as whole
        with path.open("r+b") as file:
            file.truncate(before + int(first * share))

    @rule(writer=st.sampled_from(["gw0", "gw1"]))
    def close(self, writer):
        store = self.stores.pop(writer, None)
        if store is not None:
            store.close()

    @invariant()
    def a_new_reader_finds_all_that_was_said_and_nothing_else(self):
        reader = ResponseStore(self.folder, writer="reader", read=True)
        assert len(reader) == len(self.said)
        for key, texts in self.said.items():
            found = reader.get(key)
            assert found is not None
            assert found.cached
            assert found.text in texts
        assert reader.get("never asked") is None


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=20, stateful_step_count=20, deadline=None)

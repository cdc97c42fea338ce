"""The recorder of a run."""

from __future__ import annotations

import json
import threading

from pytest_lmms.plugin.recording import Recorder
from pytest_lmms.results.shards import Shard


class Interrupted(Shard):
    """A shard whose first note is half done when another thread notes something."""

    def __init__(self, path, other):
        super().__init__(path)
        self.other = other

    def note(self, **values):
        super().note(**values)
        if self.other is not None:
            thread, self.other = self.other, None
            thread.start()
            thread.join(0.2)


def test_notes_of_two_threads_are_written_once_each(tmp_path):
    recorder = object.__new__(Recorder)
    other = threading.Thread(target=lambda: recorder.note(task="second"))
    recorder._notes, recorder._noting = [], threading.Lock()
    recorder._shard = Interrupted(tmp_path / "main.jsonl", other)
    recorder.note(task="first")
    other.join()
    lines = (tmp_path / "main.jsonl").read_text().splitlines()
    assert [json.loads(line)["note"]["task"] for line in lines] == ["first", "second"]

"""The job store, against a list in memory."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pytest_lmms.errors import StoreError
from pytest_lmms.server.jobs import CANCELLED, COMPLETED, FAILED, QUEUED, RUNNING, Job, JobStore


def make_job(name, **values):
    return Job(
        **{
            "id": name, "status": QUEUED, "created_at": "2026-01-01T00:00:00+00:00",
            "request": {"model": "dummy", "tasks": ["mme"]}, "settings": {"limit": 1}, "env": {},
            "secrets": ("API_KEY",), "num_devices": 1, **values,
        }
    )  # fmt: skip


class StoreMachine(RuleBasedStateMachine):
    """Jobs arrive, run, end and are queued again; the file is opened anew at any moment."""

    @initialize()
    def begin(self):
        import tempfile
        from pathlib import Path

        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "jobs.sqlite"
        self.store = JobStore(self.path)
        self.model = []  # [id, status], in the order of the queue
        self.made = 0

    @rule()
    def add(self):
        self.made += 1
        self.store.add(make_job(f"job{self.made}"))
        self.model.append([f"job{self.made}", QUEUED])

    @precondition(lambda self: self.model)
    @rule(data=st.data(), status=st.sampled_from([RUNNING, COMPLETED, FAILED, CANCELLED]))
    def change(self, data, status):
        job = data.draw(st.sampled_from(self.model))
        self.store.change(job[0], status=status, devices=["0"])
        job[1] = status

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def again(self, data):
        job = data.draw(st.sampled_from(self.model))
        self.store.to_the_end(job[0])
        self.model.remove(job)
        self.model.append([job[0], QUEUED])

    @rule()
    def reopen(self):
        self.store.close()
        self.store = JobStore(self.path)

    @invariant()
    def agrees(self):
        for status in (QUEUED, RUNNING, COMPLETED, FAILED, CANCELLED):
            expected = [name for name, s in self.model if s == status]
            assert self.store.ids(status) == expected
            assert [j.id for j in self.store.with_status(status)] == expected
            assert self.store.count(status) == len(expected)
        assert [j.id for j in self.store.listed(None, limit=100, offset=0)] == [name for name, _ in self.model][::-1]
        for position, name in enumerate(self.store.ids(QUEUED)):
            assert self.store.position(self.store.get(name)) == position

    def teardown(self):
        if hasattr(self, "store"):
            self.store.close()
            self.folder.cleanup()


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=20, stateful_step_count=20, deadline=None)


def test_a_job_comes_back_as_it_was_added(tmp_path):
    store = JobStore(tmp_path / "jobs.sqlite")
    job = make_job("a", output_dir="/somewhere", env={"A": "b"})
    store.add(job)
    found = store.get("a")
    assert found == Job(**{**vars(job), "number": found.number})
    assert store.get("b") is None


def test_the_file_is_the_owners_alone(tmp_path):
    JobStore(tmp_path / "jobs.sqlite")
    assert (tmp_path / "jobs.sqlite").stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_no_database_is_left_alone(tmp_path):
    path = tmp_path / "jobs.sqlite"
    path.write_text("not a database, but precious " * 100)
    with pytest.raises(StoreError, match="--data-dir"):
        JobStore(path)
    assert path.read_text().startswith("not a database")


def test_a_database_of_a_later_version_is_left_alone(tmp_path):
    path = tmp_path / "jobs.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version=7")
    with pytest.raises(StoreError, match="version 7"):
        JobStore(path)

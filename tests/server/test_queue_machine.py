"""The job queue under any order of arrivals, ends, cancellations, resumptions and restarts of the server."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pytest_lmms.server import queue
from pytest_lmms.server.jobs import CANCELLED, FAILED, QUEUED, RUNNING, JobStore, NotWrittenError
from pytest_lmms.server.policy import Plan
from pytest_lmms.server.queue import JobQueue

DEVICES = ("0", "1", "2")


class HeldQueue(JobQueue):
    """Jobs end when the test says so; all else, the database included, is the queue's own."""

    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        self.ends = {}

    async def _run_pytest(self, running, devices):
        self.ends[running.job.id] = asyncio.get_running_loop().create_future()
        if running.is_cancelled:
            return 2
        return await self.ends[running.job.id]

    def _interrupt(self, running):
        end = self.ends.get(running.job.id)
        if end is not None and not end.done():
            end.set_result(2)


class QueueMachine(RuleBasedStateMachine):
    """`order` is what a reader of the rules expects: the jobs that wait, first come first."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.loop = asyncio.new_event_loop()
        self.order = []
        self.wants = {}
        self.open()

    def open(self):
        self.store = JobStore(Path(self.folder.name, "jobs.sqlite"))
        self.queue = HeldQueue(self.store, Path(self.folder.name), devices=DEVICES)
        self.do(self.queue.start)

    def do(self, function, *arguments):
        async def act():
            result = function(*arguments)
            if asyncio.iscoroutine(result):
                result = await result
            for _ in range(6):
                await asyncio.sleep(0)
            return result

        result = self.loop.run_until_complete(act())
        running = set(self.queue.running)
        self.order = [job_id for job_id in self.order if job_id not in running and self.status(job_id) == QUEUED]
        return result

    def status(self, job_id):
        return self.store.get(job_id).status

    def job(self, data, jobs):
        """One of `jobs`, in the order of their submission: ids are random, and hypothesis replays what it drew."""
        return self.store.get(data.draw(st.sampled_from([job_id for job_id in self.wants if job_id in jobs])))

    def teardown(self):
        self.do(self.queue.close)
        self.store.close()
        self.loop.close()
        self.folder.cleanup()

    @rule(number=st.integers(1, 3))
    def submit(self, number):
        job = self.do(self.queue.submit, Plan({"model": "dummy"}, {}), number)
        self.wants[job.id] = number
        if self.status(job.id) == QUEUED:
            self.order.append(job.id)

    @precondition(lambda self: self.queue.running)
    @rule(data=st.data(), code=st.sampled_from([0, 1, 2, 4]))
    def end(self, data, code):
        job = self.job(data, self.queue.running)
        self.do(self.queue.ends[job.id].set_result, code)
        assert self.status(job.id) == FAILED  # no run folder: nothing was scored

    @precondition(lambda self: self.queue.running or self.order)
    @rule(data=st.data())
    def cancel(self, data):
        job = self.job(data, [*self.queue.running, *self.order])
        self.do(self.queue.cancel, job)
        assert self.status(job.id) == CANCELLED

    @precondition(lambda self: any(self.status(j) in (FAILED, CANCELLED) for j in self.wants))
    @rule(data=st.data())
    def resume(self, data):
        job = self.job(data, [j for j in self.wants if self.status(j) in (FAILED, CANCELLED)])
        self.order.append(job.id)
        self.do(self.queue.resume, job)

    @rule()
    def restart(self):
        ran = set(self.queue.running)
        self.do(self.queue.close)
        self.store.close()
        self.open()
        assert all(self.status(job_id) == FAILED for job_id in ran)

    @rule()
    def crash(self):
        """The server is gone without a word; its jobs die with it."""
        ran = set(self.queue.running)
        for running in self.queue.running.values():
            running.task.cancel()
        self.queue._is_closing = True
        self.do(lambda: None)
        for job_id in ran:
            self.store.change(job_id, status=RUNNING)
        self.store.close()
        self.open()
        assert all(self.status(job_id) == FAILED for job_id in ran)

    @invariant()
    def devices_are_held_once(self):
        held = [d for j in self.queue.running for d in self.store.get(j).devices]
        assert sorted(held + self.queue.free) == sorted(DEVICES)
        assert all(len(self.store.get(j).devices) == self.wants[j] for j in self.queue.running)

    @invariant()
    def the_first_that_waits_is_the_next_and_waits_for_devices_only(self):
        assert self.store.ids(QUEUED) == self.order
        assert {j.id for j in self.store.with_status(RUNNING)} == set(self.queue.running)
        if self.order:
            assert self.wants[self.order[0]] > len(self.queue.free)


TestQueue = QueueMachine.TestCase
TestQueue.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)


def test_a_full_disk_delays_what_is_written_and_holds_no_device_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(queue, "RETRY_SECONDS", 0.01)

    async def fill_and_empty():
        store = JobStore(tmp_path / "jobs.sqlite")
        jobs = HeldQueue(store, tmp_path, devices=("0",))
        await jobs.start()
        first, second = (jobs.submit(Plan({"model": "dummy"}, {}), 1) for _ in range(2))
        await asyncio.sleep(0)
        store._db.execute("PRAGMA query_only = 1")
        with pytest.raises(NotWrittenError, match=r"jobs\.sqlite(.|\n)*make room"):
            jobs.submit(Plan({"model": "dummy"}, {}), 1)
        jobs.ends[first.id].set_result(0)
        await asyncio.sleep(0.05)
        assert store.get(first.id).status == RUNNING
        store._db.execute("PRAGMA query_only = 0")
        await asyncio.wait_for(jobs.running[first.id].task, 20)
        assert [store.get(job.id).status for job in (first, second)] == [FAILED, RUNNING]
        assert jobs.free == []
        store._db.execute("PRAGMA query_only = 1")
        jobs.ends[second.id].set_result(0)
        await jobs.close()  # what cannot be written now is told by the next start
        store.close()

    asyncio.run(fill_and_empty())
    again = JobStore(tmp_path / "jobs.sqlite")
    assert len(again.with_status(RUNNING)) == 1
    again.close()

"""Documents under `-n`: same results as in process, whole batches, and workers that die."""

from __future__ import annotations

from collections import deque
from types import SimpleNamespace

import pytest
from run_helpers import killed_at_the_end, lab, timeless  # noqa: F401

from pytest_lmms.plugin.controller import Slots
from pytest_lmms.plugin.scheduling import MAX_BLOCK, BlockScheduling
from pytest_lmms.plugin.units import plan_units, task_of

# --- planning -----------------------------------------------------------------------------------------------------


def ids_of(task, number):
    return [f"bench/{task}.yaml::{task}[{i}]" for i in range(number)]


def test_units_are_whole_batches_of_one_task():
    assert plan_units([*ids_of("a", 5), *ids_of("b", 3)], 2) == [[0, 1], [2, 3], [4], [5, 6], [7]]


def test_an_ordinary_test_is_a_unit_of_its_own_and_does_not_shift_batches():
    ids = [*ids_of("a", 3), "test_x.py::test_one", *ids_of("a", 6)[3:]]
    assert plan_units(ids, 4) == [[0, 1, 2], [3], [4], [5, 6]]


@pytest.mark.parametrize(
    ("nodeid", "task"),
    [
        ("b/mme.yaml::mme[3]", "b/mme.yaml::mme"),
        ("lmms/mme/mme.yml::mme[0]", "lmms/mme/mme.yml::mme"),
        ("test_x.py::test_one[3]", None),
        ("b/mme.yaml", None),
    ],
)
def test_the_task_is_read_from_a_documents_id(nodeid, task):
    assert task_of(nodeid) == task


def test_a_freed_place_goes_to_the_next_worker():
    slots = Slots()
    assert [slots.lease(w) for w in ("gw0", "gw1", "gw2")] == [0, 1, 2]
    slots.release("gw1")
    assert slots.lease("gw3") == 1


# --- the scheduler, with workers that only listen -----------------------------------------------------------------


class FakeNode:
    def __init__(self, name, suspects=()):
        self.gateway = SimpleNamespace(id=name)
        self.workerinput = {"lmms": {"suspects": list(suspects)}}
        self.blocks = []
        self.left = deque()
        self.shutting_down = False

    def send_runtest_some(self, indices):
        assert not self.shutting_down, "work after the shutdown would never be run"
        self.blocks.append(list(indices))
        self.left.extend(indices)

    def shutdown(self):
        self.shutting_down = True

    @property
    def given(self):
        return [i for block in self.blocks for i in block]


class FakeConfig:
    def __init__(self, workers):
        self.workers = workers
        self.complaints = []
        self.hook = SimpleNamespace(pytest_collectreport=self._complain)

    def _complain(self, report):
        self.complaints.append(report)

    def getvalue(self, name):
        return ["popen"] * self.workers


class Floor:
    """A scheduler and its workers; `work` plays what they do."""

    def __init__(self, ids, *, workers=2, batch_size=1, window=4, recorded=()):
        self.given_up = []
        self.suspects = {}
        self.recorded = set(recorded)
        self.config = FakeConfig(workers)
        self.scheduler = BlockScheduling(
            self.config,
            batch_size=batch_size,
            window=window,
            give_up=lambda nodeid, crashes: self.given_up.append((nodeid, crashes)),
            recover=lambda node, nodeids: self.recorded & set(nodeids),
            suspects=self.suspects,
        )
        self.ids = list(ids)
        self.nodes = []
        self.done = {}
        for number in range(workers):
            self.join(f"gw{number}")

    def join(self, name):
        node = FakeNode(name, self.suspects)
        self.nodes.append(node)
        self.done[node] = []
        self.scheduler.add_node(node)
        self.scheduler.add_node_collection(node, self.ids)
        if self.scheduler.collection_is_completed:
            self.scheduler.schedule()
        return node

    def step(self, node):
        """Let a worker finish one item, if it may begin it: its last one only after a shutdown."""
        if len(node.left) > 1 or (node.left and node.shutting_down):
            index = node.left.popleft()
            self.done[node].append(index)
            self.scheduler.mark_test_complete(node, index)
            return True
        return False

    def work(self, *nodes):
        while any([self.step(node) for node in nodes or self.nodes]):  # noqa: C419  (each takes its step)
            if self.scheduler.tests_finished:  # as xdist does
                for node in self.scheduler.nodes:
                    node.shutdown()

    def die(self, node):
        blamed = self.scheduler.remove_node(node)
        self.nodes.remove(node)
        return blamed

    @property
    def all_done(self):
        return sorted(i for done in self.done.values() for i in done)


@pytest.mark.parametrize(
    ("number", "workers", "batch_size"), [(1000, 2, 1), (1000, 4, 8), (3, 2, 1), (5, 4, 2), (1, 4, 1)]
)
def test_every_document_goes_out_once_and_every_worker_is_sent_home(number, workers, batch_size):
    floor = Floor(ids_of("a", number), workers=workers, batch_size=batch_size)
    floor.work()
    assert floor.all_done == list(range(number))
    assert floor.scheduler.tests_finished
    assert not floor.scheduler.has_pending
    assert all(node.shutting_down for node in floor.nodes)


def test_blocks_hold_whole_batches():
    floor = Floor(ids_of("a", 500), batch_size=8)
    floor.work()
    blocks = [block for node in floor.nodes for block in node.blocks]
    assert all(block[0] % 8 == 0 for block in blocks)
    assert all(len(block) % 8 == 0 or block[-1] == 499 for block in blocks)


def test_blocks_shrink_to_one_batch_towards_the_end_and_never_grow_too_large():
    floor = Floor(ids_of("a", 20_000), batch_size=4)
    floor.work()
    sizes = [len(block) for block in floor.nodes[0].blocks]
    assert max(sizes) == MAX_BLOCK
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == 4


@pytest.mark.parametrize(("number", "workers", "batch_size"), [(64, 2, 16), (128, 4, 16), (24, 3, 4)])
def test_a_worker_whose_batch_ends_a_moment_sooner_takes_no_more_than_its_share(number, workers, batch_size):
    floor = Floor(ids_of("a", number), workers=workers, batch_size=batch_size)
    for node in floor.nodes:
        for _ in range(batch_size):
            assert floor.step(node)
    floor.work()
    assert {len(floor.done[node]) for node in floor.nodes} == {number // workers}


def test_a_worker_is_never_left_with_one_item_while_there_is_more():
    floor = Floor(ids_of("a", 50), batch_size=1)
    node = floor.nodes[0]
    for _ in range(20):
        assert len(node.given) - len(floor.done[node]) >= 2
        floor.step(node)


def test_the_shutdown_comes_with_the_last_block():
    floor = Floor(ids_of("a", 3))
    assert [node.given for node in floor.nodes] == [[0, 1], [2]]
    assert floor.nodes[1].shutting_down


def test_without_documents_every_worker_is_sent_home_at_once():
    floor = Floor([])
    assert floor.scheduler.tests_finished
    assert all(node.shutting_down for node in floor.nodes)


def test_workers_that_collected_differently_get_nothing():
    other = FakeConfig(2)
    scheduler = BlockScheduling(
        other, batch_size=1, window=4, give_up=lambda *_: None, recover=lambda *_: (), suspects={}
    )
    for name, number in (("gw0", 3), ("gw1", 4)):
        node = FakeNode(name)
        scheduler.add_node(node)
        scheduler.add_node_collection(node, ids_of("a", number))
    scheduler.schedule()
    assert len(other.complaints) == 1
    assert scheduler.tests_finished


def test_after_a_crash_what_was_not_finished_goes_out_again_and_nothing_is_blamed():
    floor = Floor(ids_of("a", 100), batch_size=4)
    first = floor.nodes[0]
    for _ in range(5):
        floor.step(first)
    assert floor.die(first) is None
    floor.join("gw2")
    floor.work()
    assert floor.all_done == list(range(100))
    assert floor.given_up == []


def test_after_a_crash_the_rest_of_a_batch_stays_together():
    floor = Floor(ids_of("a", 64), batch_size=8, window=8)
    first = floor.nodes[0]
    floor.work(floor.nodes[1])
    given = set(first.given)
    floor.die(first)
    floor.join("gw2")
    floor.work()
    again = {i for i in given if i // 8 != first.given[0] // 8}
    assert len(again) == 8
    parts = [again & set(block) for node in floor.nodes for block in node.blocks if again & set(block)]
    assert parts == [again]


def test_documents_in_flight_at_a_crash_go_only_to_a_worker_that_knows_they_are_suspects():
    floor = Floor(ids_of("a", 40), window=4)
    first, second = floor.nodes
    in_flight = first.given[:4]
    floor.die(first)
    assert sorted(floor.suspects) == sorted(floor.ids[i] for i in in_flight)
    floor.work(second)
    assert not set(in_flight) & set(second.given)
    replacement = floor.join("gw2")
    assert replacement.blocks[0][:4] == in_flight
    floor.work()
    assert floor.all_done == list(range(40))


def test_a_crash_after_the_others_were_sent_home_still_ends():
    floor = Floor(ids_of("a", 10), window=2)
    first, second = floor.nodes
    floor.work(second)
    for node in floor.scheduler.nodes:  # xdist triggers the shutdown for all of them
        node.shutdown()
    left = set(range(10)) - set(floor.all_done)
    floor.die(first)
    assert not floor.scheduler.tests_finished
    floor.scheduler.remove_node(second)  # it finished in good order
    floor.nodes.remove(second)
    assert floor.scheduler.collection_is_completed
    floor.join("gw2")
    floor.work()
    assert set(floor.all_done) >= left
    assert floor.scheduler.tests_finished


def test_a_worker_that_dies_holding_its_last_item_gives_it_back():
    floor = Floor(ids_of("a", 3), workers=1)
    node = floor.nodes[0]
    floor.step(node)
    floor.step(node)
    floor.die(node)
    replacement = floor.join("gw1")
    assert replacement.given == [2]
    floor.work()
    assert floor.all_done == [0, 1, 2]


def test_a_document_that_takes_two_workers_down_alone_is_given_up_and_the_rest_is_done():
    floor = Floor(ids_of("a", 12), workers=1, window=3)
    floor.die(floor.nodes[0])
    for number in (1, 2):
        node = floor.join(f"gw{number}")
        assert floor.given_up == []
        floor.die(node)
    assert floor.given_up == [(floor.ids[0], 2)]
    floor.join("gw3")
    floor.work()
    assert floor.all_done == list(range(1, 12))


def test_only_the_document_that_ran_alone_is_counted_against():
    floor = Floor(ids_of("a", 100), workers=1, window=3)
    floor.die(floor.nodes[0])
    node = floor.join("gw1")
    floor.step(node)
    floor.die(node)
    assert floor.suspects == {floor.ids[0]: 0, floor.ids[1]: 1, floor.ids[2]: 0}


def test_a_document_recorded_before_its_worker_died_is_neither_sent_again_nor_suspected():
    ids = ids_of("a", 100)
    floor = Floor(ids, workers=1, window=3, recorded=ids[:2])
    floor.die(floor.nodes[0])
    assert sorted(floor.suspects) == sorted(ids[2:5])
    floor.join("gw1")
    floor.work()
    assert floor.all_done == list(range(2, 100))


def test_what_a_stuck_worker_leaves_is_not_suspected():
    ids = ids_of("a", 40)
    floor = Floor(ids, workers=1, window=4, recorded=ids[:2])
    floor.scheduler.is_innocent = lambda node: True
    floor.die(floor.nodes[0])
    assert floor.suspects == {}
    floor.join("gw1")
    floor.work()
    assert floor.all_done == list(range(2, 40))


def test_two_crashes_at_once_end_with_every_document_done():
    floor = Floor(ids_of("a", 60), window=4)
    first, second = floor.nodes
    floor.die(first)
    third = floor.join("gw2")
    floor.die(second)
    floor.die(third)
    floor.join("gw3")
    floor.join("gw4")
    floor.work()
    assert floor.all_done == list(range(60))


def test_an_ordinary_test_that_kills_a_worker_is_named_to_xdist():
    ids = ["test_x.py::test_kills", *ids_of("a", 6)]
    floor = Floor(ids, workers=1)
    assert floor.die(floor.nodes[0]) == ids[0]
    floor.join("gw1")
    floor.work()
    assert floor.all_done == list(range(1, 7))


def test_a_replacement_that_collected_differently_is_told_and_the_run_ends():
    floor = Floor(ids_of("a", 20), workers=1)
    floor.die(floor.nodes[0])
    node = FakeNode("gw1", floor.suspects)
    floor.scheduler.add_node(node)
    floor.scheduler.add_node_collection(node, ids_of("a", 19))
    floor.scheduler.schedule()
    assert len(floor.config.complaints) == 1
    assert node.given == []
    assert floor.scheduler.tests_finished


# --- real workers -------------------------------------------------------------------------------------------------


def test_two_workers_leave_the_same_results_and_records_as_one_process(lab):  # noqa: F811
    lab.task(40, metric_list=[{"metric": "exact_match"}], cluster_key=None)
    assert lab.run().code == 0
    alone, alone_records = lab.results, lab.records()
    lab.run_path.rename(lab.path / "alone")
    lab.forget()
    run = lab.run("-n", "2")
    assert run.code == 0, run
    assert timeless(lab.results) == timeless(alone)
    assert timeless(lab.records()) == timeless(alone_records)
    assert [r["doc_id"] for r in lab.records()] == list(range(40))
    assert set(lab.asked().values()) == {1}
    assert not list((lab.run_path).glob("shards/*"))


def test_ordinary_tests_run_among_documents(lab):  # noqa: F811
    lab.task(6)
    (lab.path / "bench" / "test_plain.py").write_text("def test_one(): pass\ndef test_two(): assert 0\n")
    run = lab.run("-n", "2")
    assert run.code == 1
    assert "1 failed, 7 passed" in run.output
    assert lab.results["complete"]


@pytest.mark.parametrize("number", [0, 3])
def test_few_documents_end_on_many_workers(lab, number):  # noqa: F811
    lab.task(max(number, 1))
    run = lab.run("-n", "4" if number else "2", *(() if number else ("-k", "nothing")))
    if number:
        assert run.code == 0, run
        assert len(lab.records()) == number
    else:
        assert run.code == 5, run


def test_another_way_of_distributing_is_left_alone(lab):  # noqa: F811
    lab.task(12)
    run = lab.run("-n", "2", "--dist", "loadfile")
    assert run.code == 0, run
    assert len(lab.records()) == 12
    assert lab.results["complete"]
    # One file, one worker: xdist's own rule held.
    assert len({line.split()[1] for line in (lab.path / "asked").read_text().splitlines()}) == 1


def test_workers_that_die_once_cost_nothing_but_time(lab):  # noqa: F811
    lab.task(40)
    lab.plan(kills_once=[7, 30], seconds=0.01)
    run = lab.run("-n", "2")
    assert run.code == 0, run
    assert "40 passed" in run.output
    assert lab.results["counts"]["n_scored"] == 40
    assert [r["doc_id"] for r in lab.records()] == list(range(40))
    asked = lab.asked()
    # Both workers may have been killed by the other's document being in flight, never more.
    assert all(asked[i] == 1 for i in range(40) if i not in (7, 30))
    assert asked[7] == asked[30] == 2


def test_the_worker_that_replaces_another_gets_its_place(lab):  # noqa: F811
    lab.task(24)
    lab.plan(kills_once=[3], seconds=0.1)  # nobody else is done, and gone, before
    assert lab.run("-n", "2").code == 0
    slots = {worker: slot for slot, worker in lab.slots()}
    (killed,) = [line.split()[1] for line in (lab.path / "asked").read_text().splitlines() if line.startswith("3 ")][:1]
    assert killed in ("gw0", "gw1")
    assert slots["gw2"] == slots[killed]


def test_a_document_that_always_kills_its_worker_becomes_one_error_and_the_others_are_scored(lab):  # noqa: F811
    lab.task(20)
    lab.plan(kills=[5])
    run = lab.run("-n", "2")
    assert run.code == 1, run
    assert lab.asked()[5] == 3
    records = lab.records()
    assert [r["doc_id"] for r in records] == list(range(20))
    assert [r["doc_id"] for r in records if r["status"] == "error"] == [5]
    assert "died 2 times" in records[5]["error"]
    assert "1 failed, 19 passed" in run.output
    assert lab.results["counts"]["n_error"] == 1


def test_the_limit_of_restarts_is_kept_and_what_was_not_asked_is_named(lab):  # noqa: F811
    lab.task(20)
    lab.plan(kills=[0])
    run = lab.run("-n", "1", "--max-worker-restart", "1")
    assert run.code == 1, run
    assert "maximum crashed workers reached: 1" in run.output
    assert lab.results["counts"]["n_not_run"] > 0
    assert not lab.results["complete"]
    assert "documents have no record" in run.output


@pytest.mark.parametrize("batch_size", [1, 4])
def test_a_worker_whose_adapter_is_stuck_is_replaced_and_only_that_batch_is_lost(lab, batch_size):  # noqa: F811
    lab.task(40)
    lab.plan(hangs=[5])
    run = lab.run("-n", "2", "--lmms-timeout", "8", "--lmms-batch-size", str(batch_size))
    assert run.code == 1, run
    lost = [5] if batch_size == 1 else [4, 5, 6, 7]
    records = lab.records()
    assert [r["doc_id"] for r in records] == list(range(40))
    assert [r["doc_id"] for r in records if r["status"] == "error"] == lost
    assert all("no response within 8" in records[i]["error"] for i in lost)
    assert lab.results["counts"]["n_scored"] == 40 - len(lost)
    asked = lab.asked()
    assert all(asked[i] == 1 for i in range(40) if i not in lost)
    assert f"{40 - len(lost)} passed" in run.output


def test_in_one_process_what_a_stuck_adapter_leaves_is_an_error(lab):  # noqa: F811
    lab.task(40)
    lab.plan(hangs=[5])
    run = lab.run("--lmms-timeout", "20")
    assert run.code == 1, run
    errors = {r["doc_id"]: r["error"] for r in lab.records() if r["status"] == "error"}
    assert "no response within 20.0 s" in errors.pop(5)
    # Which documents were rendered, and so asked, before document 5 is another one each time; not all were.
    assert errors.keys() == set(range(40)) - lab.asked().keys() != set()
    assert all("not asked: an earlier batch is stuck" in error for error in errors.values())


def test_a_dead_worker_is_noticed_although_its_child_keeps_the_pipe_open(lab):  # noqa: F811
    lab.task(6)
    lab.plan(kills_once=[2], leaves_child=True)
    with killed_at_the_end(lab.path / "child"):
        run = lab.run("-n", "1", timeout=200)
    assert run.code == 0, run
    assert lab.results["counts"]["n_scored"] == 6


def test_a_usage_error_found_in_a_worker_ends_the_run_once_with_exit_code_4(lab):  # noqa: F811
    lab.task(10)
    (lab.path / "conftest.py").unlink()
    run = lab.run("-n", "2")
    assert run.code == 4, run
    assert run.output.count("no model to evaluate") == 1
    assert "replacing crashed worker" not in run.output

"""The engine: batches as planned, failures contained, everything stops when told."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future as ThreadFuture
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_lmms.errors import ModelError, OutOfMemoryError, UnansweredError
from pytest_lmms.inference.batching import Group
from pytest_lmms.inference.cache import ResponseStore
from pytest_lmms.inference.engine import Engine, EngineSettings
from pytest_lmms.records import Generation, Message, Request, Response


def request(doc_id: int, text: str | None = None) -> Request:
    return Request(
        task="t",
        doc_id=doc_id,
        messages=(Message(role="user", content=(text or f"question {doc_id}",)),),
        generation=Generation(),
    )


class Echo:
    """Answers with the question; notes batches and threads."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.threads: set[str] = set()

    def generate(self, requests: Sequence[Request]) -> list[Response]:
        self.batches.append([r.doc_id for r in requests])
        self.threads.add(threading.current_thread().name)
        return [Response(text=r.text) for r in requests]


class AsyncEcho:
    """Answers with the question, one at a time; notes how many are in flight."""

    num_concurrent = 4

    def __init__(self, seconds: float = 0.01) -> None:
        self.seconds = seconds
        self.in_flight = 0
        self.most = 0
        self.events: list[str] = []

    async def start(self) -> None:
        self.events.append("start")

    async def stop(self) -> None:
        self.events.append("stop")

    async def generate(self, request: Request) -> Response:
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        await asyncio.sleep(self.seconds)
        self.in_flight -= 1
        return Response(text=request.text)


@pytest.fixture
def start() -> Iterator[Callable[..., Engine]]:
    engines: list[Engine] = []

    def make(model: Any, *, store: ResponseStore | None = None, **settings: Any) -> Engine:
        engine = Engine(model, store=store, settings=EngineSettings(**settings))
        engine.start()
        engines.append(engine)
        return engine

    yield make
    for engine in engines:
        engine.close()


def ask(engine: Engine, requests: Sequence[Request], *, group: bool = True) -> list[Any]:
    """Ask all requests as documents of one plan; give texts, or the exceptions."""
    size = engine.batch_size
    planned = [Group(min(size, len(requests) - i)) for i in range(0, len(requests), size)]

    async def one(position: int, item: Request) -> str:
        keys = await engine.offload(engine.keys, [item])
        chosen: Any = planned[position // size] if group and not engine.is_async else None
        return (await engine.answer([item], keys, group=chosen, position=position))[0].text

    async def together() -> list[Any]:
        return await asyncio.gather(*(one(i, r) for i, r in enumerate(requests)), return_exceptions=True)

    done: ThreadFuture[list[Any]] = ThreadFuture()

    async def deliver() -> None:
        done.set_result(await together())

    engine.call(engine.spawn, deliver())  # as the line does it: closing waits for what is spawned
    return done.result(30)


def test_batches_are_those_of_the_plan_and_answers_keep_their_order(start: Callable[..., Engine]) -> None:
    model = Echo()
    texts = ask(start(model, batch_size=4), [request(i) for i in range(10)])
    assert texts == [f"question {i}" for i in range(10)]
    assert model.batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_a_model_is_asked_on_one_thread_only(start: Callable[..., Engine]) -> None:
    model = Echo()
    ask(start(model, batch_size=2), [request(i) for i in range(20)])
    assert model.threads == {"lmms-model"}


def test_requests_without_a_plan_travel_with_what_is_waiting(start: Callable[..., Engine]) -> None:
    model = Echo()
    texts = ask(start(model, batch_size=8), [request(i) for i in range(8)], group=False)
    assert texts == [f"question {i}" for i in range(8)]
    assert len(model.batches) < 8


def test_a_batch_that_fails_is_asked_again_one_by_one_and_only_the_bad_one_fails(
    start: Callable[..., Engine],
) -> None:
    class Picky(Echo):
        def generate(self, requests: Sequence[Request]) -> list[Response]:
            super().generate(requests)
            if any(r.doc_id == 2 for r in requests):
                raise ValueError("I do not like 2")
            return [Response(text="ok") for _ in requests]

    model = Picky()
    outcome = ask(start(model, batch_size=4), [request(i) for i in range(8)])
    assert isinstance(outcome[2], ValueError)
    assert [o for i, o in enumerate(outcome) if i != 2] == ["ok"] * 7
    assert model.batches == [[0, 1, 2, 3], [0], [1], [2], [3], [4, 5, 6, 7]]


def test_out_of_memory_halves_the_batch_and_later_ones_start_small(start: Callable[..., Engine]) -> None:
    class Small(Echo):
        def generate(self, requests: Sequence[Request]) -> list[Response]:
            super().generate(requests)
            if len(requests) > 2:
                raise OutOfMemoryError("does not fit")
            return [Response(text="ok") for _ in requests]

    model = Small()
    engine = start(model, batch_size=8)
    assert ask(engine, [request(i) for i in range(16)]) == ["ok"] * 16
    assert engine.fitting_batch_size == 2
    assert [len(b) for b in model.batches] == [8, 4, 2, 2, 2, 2, 2, 2, 2, 2]


def test_one_request_that_does_not_fit_alone_is_an_error_and_the_rest_goes_on(start: Callable[..., Engine]) -> None:
    class Huge(Echo):
        def generate(self, requests: Sequence[Request]) -> list[Response]:
            if any(r.doc_id == 1 for r in requests):
                raise OutOfMemoryError("does not fit")
            return [Response(text="ok") for _ in requests]

    outcome = ask(start(Huge(), batch_size=4), [request(i) for i in range(4)])
    assert isinstance(outcome[1], OutOfMemoryError)
    assert outcome[0] == outcome[2] == outcome[3] == "ok"


@pytest.mark.parametrize("answer", [None, [], ["text"], [Response(text=None)]])  # type: ignore[arg-type]
def test_an_adapter_that_returns_something_else_is_an_error_that_says_so(
    start: Callable[..., Engine], answer: Any
) -> None:
    class Wrong:
        def generate(self, requests: Sequence[Request]) -> Any:
            return answer

    (outcome,) = ask(start(Wrong()), [request(0)])
    assert isinstance(outcome, ModelError)
    assert "expected" in str(outcome)


def test_preparation_runs_ahead_on_other_threads(start: Callable[..., Engine]) -> None:
    class Preparing:
        def __init__(self) -> None:
            self.prepared_on: set[str] = set()
            self.ahead = 0
            self.prepared: list[int] = []
            self.most_ahead = 0
            self.answered = 0

        def prepare(self, requests: Sequence[Request]) -> list[int]:
            self.prepared_on.add(threading.current_thread().name)
            self.prepared.append(requests[0].doc_id)
            return [r.doc_id for r in requests]

        def generate_prepared(self, prepared: list[int], requests: Sequence[Request]) -> list[Response]:
            assert prepared == [r.doc_id for r in requests]
            time.sleep(0.02)
            self.answered += 1
            self.most_ahead = max(self.most_ahead, len(self.prepared) - self.answered)
            return [Response(text=str(i)) for i in prepared]

        def generate(self, requests: Sequence[Request]) -> list[Response]:
            raise AssertionError("a model that prepares is asked through generate_prepared")

    model = Preparing()
    assert ask(start(model, batch_size=2), [request(i) for i in range(12)]) == [str(i) for i in range(12)]
    assert all(name.startswith("lmms-prepare") for name in model.prepared_on)
    assert 1 <= model.most_ahead <= 3


def test_an_async_model_has_as_many_requests_in_flight_as_it_says(start: Callable[..., Engine]) -> None:
    model = AsyncEcho()
    texts = ask(start(model), [request(i) for i in range(20)])
    assert texts == [f"question {i}" for i in range(20)]
    assert model.most == 4


def test_an_async_model_is_started_and_stopped_on_the_loop(start: Callable[..., Engine]) -> None:
    model = AsyncEcho()
    engine = start(model)
    ask(engine, [request(0)])
    engine.close()
    assert model.events == ["start", "stop"]


def test_a_model_that_cannot_start_is_an_error_before_anything_is_asked() -> None:
    class Broken(Echo):
        def start(self) -> None:
            raise OSError("no such device")

    with pytest.raises(ModelError, match="no such device"):
        Engine(Broken()).start()


def test_a_response_that_is_stored_is_never_asked_for_again(start: Callable[..., Engine], tmp_path: Path) -> None:
    ask(start(Echo(), store=ResponseStore(tmp_path, writer="a"), batch_size=2), [request(i) for i in range(4)])
    model = Echo()
    again = start(model, store=ResponseStore(tmp_path, writer="b", read=True), batch_size=2)
    assert ask(again, [request(i) for i in range(6)]) == [f"question {i}" for i in range(6)]
    assert model.batches == [[4, 5]]


def test_an_error_never_enters_the_store(start: Callable[..., Engine], tmp_path: Path) -> None:
    class Failing(Echo):
        def generate(self, requests: Sequence[Request]) -> list[Response]:
            raise ConnectionError("endpoint down")

    ask(start(Failing(), store=ResponseStore(tmp_path, writer="a")), [request(0)])
    assert len(ResponseStore(tmp_path, writer="b", read=True)) == 0


def test_closing_lets_the_batch_in_hand_finish_and_gives_up_the_rest(start: Callable[..., Engine]) -> None:
    entered = threading.Event()

    class Slow(Echo):
        def generate(self, requests: Sequence[Request]) -> list[Response]:
            entered.set()
            time.sleep(0.2)
            return super().generate(requests)

    model = Slow()
    engine = start(model, batch_size=1)
    outcome: list[Any] = []
    waiting = threading.Thread(target=lambda: outcome.extend(ask(engine, [request(i) for i in range(5)])))
    waiting.start()
    entered.wait(5)
    engine.close()
    waiting.join(5)
    assert outcome[0] == "question 0"
    assert all(isinstance(o, UnansweredError) for o in outcome[2:])
    assert len(model.batches) <= 2


def test_a_batch_that_never_comes_back_fails_after_the_timeout(start: Callable[..., Engine]) -> None:
    release = threading.Event()

    class Stuck(Echo):
        def generate(self, requests: Sequence[Request]) -> list[Response]:
            release.wait(30)
            return super().generate(requests)

    engine = start(Stuck(), timeout_seconds=0.2, shutdown_seconds=1.0)
    outcome = ask(engine, [request(i) for i in range(3)])
    release.set()
    assert all(isinstance(o, ModelError) for o in outcome)
    assert "no response within 0.2 s" in str(outcome[0])
    assert engine.is_stuck


def test_closing_waits_a_little_for_a_batch_that_is_only_late(start: Callable[..., Engine]) -> None:
    release, stopped = threading.Event(), threading.Event()

    class Late(Echo):
        def generate(self, requests: Sequence[Request]) -> list[Response]:
            release.wait(30)
            return super().generate(requests)

        def stop(self) -> None:
            stopped.set()

    engine = start(Late(), timeout_seconds=0.1)
    assert isinstance(ask(engine, [request(0)])[0], ModelError)
    threading.Timer(0.3, release.set).start()
    engine.close()
    assert stopped.is_set()


def test_what_a_stuck_adapter_was_not_asked_stays_open_where_another_process_can_ask_it(
    start: Callable[..., Engine],
) -> None:
    release = threading.Event()

    class Stuck(Echo):
        def generate(self, requests: Sequence[Request]) -> list[Response]:
            release.wait(30)
            return super().generate(requests)

    engine = start(Stuck(), timeout_seconds=0.2, shutdown_seconds=1.0, is_replaceable=True)
    outcome = ask(engine, [request(i) for i in range(8)])
    release.set()
    assert isinstance(outcome[0], ModelError)
    assert not isinstance(outcome[0], UnansweredError)
    assert all(isinstance(o, UnansweredError) for o in outcome[1:])


def test_each_question_after_a_batch_that_failed_has_the_whole_timeout_to_itself(
    start: Callable[..., Engine],
) -> None:
    class SlowAlone(Echo):
        def generate(self, requests: Sequence[Request]) -> list[Response]:
            if len(requests) > 1:
                raise ValueError("one at a time, please")
            time.sleep(1.1)
            return super().generate(requests)

    engine = start(SlowAlone(), batch_size=4, timeout_seconds=4.0)
    assert ask(engine, [request(i) for i in range(4)]) == [f"question {i}" for i in range(4)]


def test_preparing_a_batch_takes_nothing_from_the_time_of_its_generation(start: Callable[..., Engine]) -> None:
    class Prepared(Echo):
        def prepare(self, requests: Sequence[Request]) -> None:
            time.sleep(2.2)

        def generate_prepared(self, prepared: None, requests: Sequence[Request]) -> list[Response]:
            time.sleep(2.2)
            return self.generate(requests)

    assert ask(start(Prepared(), timeout_seconds=4.0), [request(0)]) == ["question 0"]


def test_out_of_memory_halves_batches_of_continuations_too(start: Callable[..., Engine]) -> None:
    class Small(Echo):
        def score(self, requests: Sequence[Request]) -> list[Response]:
            self.batches.append([r.doc_id for r in requests])
            if len(requests) > 2:
                raise OutOfMemoryError("does not fit")
            return [Response(text="ok", logprob=-1.0, is_greedy=False) for _ in requests]

    model = Small()
    engine = start(model, batch_size=8)
    assert ask(engine, [replace(request(i), continuation=" A") for i in range(8)]) == ["ok"] * 8
    assert engine.fitting_batch_size == 2
    assert [len(b) for b in model.batches] == [8, 4, 2, 2, 2, 2]


def test_closing_does_not_wait_for_what_an_adapter_keeps_on_the_loop(start: Callable[..., Engine]) -> None:
    class Keeps(AsyncEcho):
        async def start(self) -> None:
            self.task = asyncio.get_running_loop().create_task(asyncio.sleep(60))

    model = Keeps()
    engine = start(model, shutdown_seconds=30.0)
    began = time.monotonic()
    engine.close()
    assert time.monotonic() - began < 15
    assert model.task.cancelled()
    assert model.events == ["stop"]


def test_an_async_request_that_never_comes_back_fails_alone(start: Callable[..., Engine]) -> None:
    class Sometimes(AsyncEcho):
        async def generate(self, request: Request) -> Response:
            if request.doc_id == 1:
                await asyncio.sleep(60)
            return await super().generate(request)

    outcome = ask(start(Sometimes(), timeout_seconds=2.0), [request(i) for i in range(4)])
    assert isinstance(outcome[1], ModelError)
    assert [outcome[0], outcome[2], outcome[3]] == ["question 0", "question 2", "question 3"]


def test_timings_tell_when_a_response_was_complete_and_how_many_shared_its_batch(
    start: Callable[..., Engine],
) -> None:
    engine = start(Echo(), batch_size=2)
    before = time.time()

    async def both() -> list[Response]:
        requests = [request(0), request(1)]
        return await engine.answer(requests, engine.keys(requests))

    responses = asyncio.run_coroutine_threadsafe(both(), engine._loop).result(5)
    for response in responses:
        assert response.timing is not None
        assert response.timing.batch_size == 2
        assert before <= response.timing.finished <= time.time()  # type: ignore[operator]


class Picky(AsyncEcho):
    """Wants one request more with every three answers; lets those that wait inside it go when told."""

    prefix_characters = 64
    admits_most = 50

    def __init__(self, seconds: float = 0.005) -> None:
        super().__init__(seconds)
        self.order: list[int] = []
        self.gave_up = False
        self.allowed = asyncio.Event()

    @property
    def admits(self) -> int:
        return 1 + len(self.order) // 3

    def give_up(self) -> None:
        self.gave_up = True
        self.allowed.set()

    async def generate(self, request: Request) -> Response:
        self.order.append(request.doc_id)
        return await super().generate(request)


def test_an_adapter_that_changes_its_mind_is_given_what_it_wants_now(start: Callable[..., Engine]) -> None:
    model = Picky()
    engine = start(model)
    texts = ask(engine, [request(i) for i in range(20)])
    assert texts == [f"question {i}" for i in range(20)]
    assert 1 < model.most <= 1 + 20 // 3


def test_requests_that_begin_alike_are_asked_together(start: Callable[..., Engine]) -> None:
    model = Picky()
    model.order = []
    openings = ["a" * 64, "b" * 64, "c" * 64]
    ask(start(model), [request(i, openings[i % 3] + str(i)) for i in range(60)])
    changes = sum(a % 3 != b % 3 for a, b in zip(model.order, model.order[1:], strict=False))
    assert sorted(model.order) == list(range(60))
    assert changes < 20  # in their own order it would be 59


def test_a_stopped_engine_tells_an_adapter_in_which_requests_wait(start: Callable[..., Engine]) -> None:
    class Waiting(Picky):
        async def generate(self, request: Request) -> Response:
            await self.allowed.wait()
            raise UnansweredError("not asked")

    model = Waiting()
    engine = start(model)
    threading.Timer(0.1, engine.stop).start()
    outcomes = ask(engine, [request(i) for i in range(5)])
    assert model.gave_up
    assert all(isinstance(outcome, UnansweredError) for outcome in outcomes)


@pytest.mark.parametrize("model", [Echo, AsyncEcho])
def test_nothing_more_is_sent_once_the_budget_is_spent(start: Callable[..., Engine], model: Callable[[], Any]) -> None:
    seen: list[Response] = []

    def spend(responses: Sequence[Response]) -> bool:
        seen.extend(responses)
        return len(seen) < 6

    outcomes = ask(start(model(), batch_size=2, spend=spend), [request(i) for i in range(60)])
    answered = [outcome for outcome in outcomes if isinstance(outcome, str)]
    assert 6 <= len(answered) == len(seen) <= 6 + 8
    assert all(isinstance(outcome, (str, UnansweredError)) for outcome in outcomes)


class Elsewhere(Echo):
    """May be asked two batches at once, each of which waits for the other."""

    num_parallel = 2
    keeps_time = True

    def __init__(self) -> None:
        super().__init__()
        self.both = threading.Barrier(2, timeout=60)
        self.calls: list[str] = []

    def start(self) -> None:
        self.calls.append("start")

    def stop(self) -> None:
        self.calls.append("stop")

    def generate(self, requests: Sequence[Request]) -> list[Response]:
        self.both.wait()
        return super().generate(requests)


def test_an_adapter_that_works_elsewhere_has_several_batches_at_once_as_they_were_planned(start, tmp_path):
    model = Elsewhere()
    engine = start(model, batch_size=2, store=ResponseStore(tmp_path, writer="w", read=True))
    requests = [request(i) for i in range(8)]
    assert ask(engine, requests) == [f"question {i}" for i in range(8)]
    assert sorted(model.batches) == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert model.threads == {"lmms-model", "lmms-model-2"}
    assert engine.num_asked == 8
    engine.close()
    assert model.calls == ["start", "stop"]
    stored = ResponseStore(tmp_path, writer="x", read=True)
    assert len(stored) == 8


def test_an_adapter_that_keeps_time_itself_is_not_taken_for_stuck(start):
    class Slow(Echo):
        keeps_time = True

        def generate(self, requests: Sequence[Request]) -> list[Response]:
            time.sleep(0.6)
            return super().generate(requests)

    assert ask(start(Slow(), timeout_seconds=0.2), [request(0)]) == ["question 0"]


def test_what_an_async_adapter_answers_in_one_turn_is_stored_with_one_write(start, tmp_path):
    class Together(AsyncEcho):
        num_concurrent = 8

        async def start(self) -> None:
            self.all = asyncio.Event()

        async def generate(self, request: Request) -> Response:
            self.in_flight += 1
            if self.in_flight == 8:
                self.all.set()
            await self.all.wait()
            return Response(text=request.text)

    engine = start(Together(), store=ResponseStore(tmp_path, writer="w"))
    assert len(ask(engine, [request(i) for i in range(8)])) == 8
    engine.close()
    (file,) = tmp_path.glob("*.jsonl")
    assert len(file.read_text().splitlines()) == 1
    assert len(ResponseStore(tmp_path, writer="x", read=True)) == 8


@pytest.mark.parametrize("model", [Echo, AsyncEcho])
def test_nothing_more_is_asked_once_responses_cannot_be_kept(
    start: Callable[..., Engine], tmp_path: Path, model: Callable[[], Any]
) -> None:
    class Full(ResponseStore):
        def put(self, entries: Any) -> None:
            raise OSError(28, "No space left on device")

    told: list[str] = []
    store = Full(tmp_path, writer="w")
    engine = start(model(), store=store, batch_size=2, give_up_run=told.append)
    outcomes = ask(engine, [request(i) for i in range(60)])
    lost = [o for o in outcomes if isinstance(o, OSError)]
    left = [o for o in outcomes if isinstance(o, UnansweredError)]
    assert len(lost) + len(left) == 60
    assert 1 <= len(lost) <= 8
    assert "responses cannot be kept: [Errno 28] No space left on device" in told[0]


def test_a_document_whose_tool_takes_long_holds_up_the_others_only_for_a_moment(
    start: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_lmms.inference.batched.LEAST_WAIT_SECONDS", 0.05)
    model = Echo()
    engine = start(model, batch_size=4)

    async def play() -> str:
        done = asyncio.Event()

        async def slow() -> None:
            with engine.between_rounds():
                await done.wait()

        busy = asyncio.ensure_future(slow())
        await asyncio.sleep(0)
        responses = await engine.answer([request(1)], engine.keys([request(1)]))
        done.set()
        await busy
        return responses[0].text

    assert asyncio.run_coroutine_threadsafe(play(), engine._loop).result(30) == "question 1"
    assert model.batches == [[1]]


def test_a_model_with_nothing_to_do_waits_for_documents_that_are_about_to_ask(start: Callable[..., Engine]) -> None:
    model = Echo()
    engine = start(model, batch_size=4)

    async def one(doc_id: int) -> None:
        with engine.between_rounds():
            for _ in range(10 * doc_id):
                await asyncio.sleep(0)
        await engine.answer([request(doc_id)], engine.keys([request(doc_id)]))

    async def play() -> None:
        await asyncio.gather(*(one(i) for i in range(4)))

    asyncio.run_coroutine_threadsafe(play(), engine._loop).result(30)
    assert model.batches == [[0, 1, 2, 3]]


def test_closing_gives_up_requests_that_wait_for_company(start: Callable[..., Engine]) -> None:
    engine = start(Echo(), batch_size=4)

    async def play() -> list[Any]:
        with engine.between_rounds():
            engine.call_soon(engine.stop)
            return await asyncio.gather(engine.answer([request(1)], engine.keys([request(1)])), return_exceptions=True)

    (outcome,) = asyncio.run_coroutine_threadsafe(play(), engine._loop).result(30)
    assert isinstance(outcome, UnansweredError)

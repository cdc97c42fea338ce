"""Agentic tasks end to end: calls of a batch model, tools of a served model, histories, traces."""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pytest_lmms import catalog
from tests.chat_server import Server

CODE = """
def ask(doc, kwargs=None, previous_output=None, round_idx=None, previous_round_info=None):
    if round_idx is None:
        return doc["question"]
    outputs = list(previous_output)
    if round_idx == doc["steps"]:
        return None, "", True, outputs, {"state": {"round": round_idx}}
    return None, f"{doc['question']}, step {round_idx + 1}", False, outputs, {"state": {"round": round_idx}}

def score(doc, results):
    return {"said": len(results[0])}
"""
CONFTEST = """
import json
import pytest
from pytest_lmms.testing import ScriptedModel

@pytest.fixture(scope="session")
def lmms_model():
    model = ScriptedModel(lambda request: f"heard {request.text}")
    yield model
    with open("sizes.json", "w") as file:
        json.dump(model.batch_sizes, file)
"""
FIELDS = {
    "output_type": "generate_until_agentic",
    "doc_to_text": "!function utils.ask",
    "process_results": "!function utils.score",
    "metric_list": [{"metric": "said", "aggregation": "mean", "higher_is_better": True}],
}


def rows(steps):
    return [{"question": f"q{i}", "answer": "A", "steps": n} for i, n in enumerate(steps)]


def test_64_documents_of_8_steps_take_few_more_calls_than_full_batches_would(write_task, run, records_of, pytester):
    write_task(pytester.path / "bench", "toy", rows([8] * 64), code=CODE, **FIELDS)
    pytester.makeconftest(CONFTEST)
    assert run("bench", "--lmms-batch-size", "16", model=None).ret == 0
    sizes = json.loads((pytester.path / "sizes.json").read_text())
    assert [len(record["rounds"][0]) for record in records_of("toy")] == [8] * 64
    assert sum(sizes) == 64 * 8
    assert len(sizes) <= 41  # 1.3 times the ideal of 32


# Tools of a served model, and histories

PLANS = {
    "vending_bench2": [
        ("set_price", {"price": 10}), ("restock", {"units": 50}), ("simulate_days", {"days": 10}),
        ("submit", {"final": "done"}),
    ],
    "tau2_bench_telecom": [
        ("disable_airplane_mode", {}), ("enable_roaming", {}), ("submit", {"final": "it works"}),
    ],
}  # fmt: skip
SUCCESS = {"vending_bench2": "vending_success,none", "tau2_bench_telecom": "tau2_success,none"}


def num_done(task, body):
    """How far an episode is: told by the conversation, else by the state that the prompt shows."""
    if len(body["messages"]) > 1:
        return sum(message["role"] == "assistant" for message in body["messages"])
    state = json.loads(re.search(r"state: (.*)", body["messages"][0]["content"])[1])
    if task == "vending_bench2":
        return (state["price"] == 10) + (state["inventory"] >= 50 or state["cash"] > 200) + (state["days_elapsed"] > 0)
    return 2 if state["mobile_data_working"] else int(not state["airplane_mode"])


@pytest.fixture
def server():
    server = Server()
    server.text = ""
    yield server
    server.httpd.shutdown()
    server.httpd.server_close()


@pytest.fixture
def play(run, server, records_of, results_of):
    """Play the miniature of a task on the server; give its records and results."""

    def go(task, settings="", *, stream=True, **more):
        outcome = run(
            catalog.folder("benchmarks") / task / f"{task}.yaml",
            "--lmms-model-args", f"model=m,base_url={server.url},api_key=k,stream={stream},max_retries=0",
            *(["--lmms-gen-kwargs", settings] if settings else []), model="openai",
        )  # fmt: skip
        assert outcome.ret == 0
        return records_of(task), results_of()["results"][task]

    return go


def wire(call_id, name, arguments):
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def native(task):
    """What a model with tools does: calls, each under an id of its own."""

    def calls(body):
        number = num_done(task, body)
        name, arguments = PLANS[task][number]
        return [
            {"id": f"id-{number}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
        ]

    return calls


def written(task):
    """What a model does that writes tags."""

    def text(body):
        name, arguments = PLANS[task][num_done(task, body)]
        if name == "submit":
            return f"<submit>{json.dumps(arguments)}</submit>"
        return f"<tool_call>{json.dumps({'name': name, 'arguments': arguments})}</tool_call>"

    return text


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("history", ["rebuilt", "conversation"])
@pytest.mark.parametrize("task", PLANS)
def test_native_calls_solve_what_tags_solve(play, server, task, history, stream):
    server.calls = native(task)
    records, results = play(task, f"tool_format=native,agentic_history={history}", stream=stream)
    assert results[SUCCESS[task]] == 1.0
    for _, _, body in server.requests:
        names = [tool["function"]["name"] for tool in body["tools"]]
        assert {name for name, _ in PLANS[task]} <= set(names)
        assert names[-1] == "submit"
        assert "<tool_call>" not in json.dumps(body)
    assert {len(body["messages"]) for _, _, body in server.requests} == (
        {1} if history == "rebuilt" else {1 + 2 * n for n in range(len(PLANS[task]))}
    )
    outputs = [step["output"] for step in records[0]["rounds"][0]]
    assert outputs[0].endswith("</tool_call>")
    assert outputs[-1] == f"<submit>{json.dumps(PLANS[task][-1][1])}</submit>"


class Elsewhere(BaseHTTPRequestHandler):
    """Plays a plan by calls in the words of Anthropic's API or Google's, as the request is."""

    plan = PLANS["vending_bench2"]

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(body)
        turns = body.get("messages") or body["contents"]
        name, arguments = self.plan[sum(turn["role"] in ("assistant", "model") for turn in turns)]
        if "messages" in body:
            block = {"type": "tool_use", "id": f"toolu_{len(turns)}", "name": name, "input": arguments}
            said = {"id": "1", "type": "message", "role": "assistant", "model": "m", "content": [block],
                    "stop_reason": "tool_use", "usage": {"input_tokens": 1, "output_tokens": 1}}  # fmt: skip
        else:
            parts = [{"functionCall": {"name": name, "args": arguments}}]
            said = {"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}]}
        data = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.mark.parametrize("model", ["anthropic", "gemini"])
def test_native_calls_of_other_providers_solve_a_task_in_a_conversation(run, records_of, results_of, model):
    pytest.importorskip({"anthropic": "anthropic", "gemini": "google.genai"}[model])
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    httpd.asked = []
    threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True).start()
    try:
        outcome = run(
            catalog.folder("benchmarks") / "vending_bench2" / "vending_bench2.yaml",
            "--lmms-model-args", f"model=m,base_url=http://127.0.0.1:{httpd.server_port},api_key=k,stream=false",
            "--lmms-gen-kwargs", "tool_format=native,agentic_history=conversation", model=model,
        )  # fmt: skip
    finally:
        httpd.shutdown()
        httpd.server_close()
    assert outcome.ret == 0
    assert results_of()["results"]["vending_bench2"]["vending_success,none"] == 1.0
    longest = max((body.get("messages") or body["contents"] for body in httpd.asked), key=len)
    assert [turn["role"] for turn in longest][1::2] == [{"anthropic": "assistant", "gemini": "model"}[model]] * 3
    outputs = [step["output"] for step in records_of("vending_bench2")[0]["rounds"][0]]
    assert outputs[-1] == '<submit>{"final": "done"}</submit>'


def test_a_conversation_of_native_calls_answers_each_under_its_id(play, server):
    server.calls = native("vending_bench2")
    records, _ = play("vending_bench2", "tool_format=native,agentic_history=conversation")
    messages = max((body["messages"] for _, _, body in server.requests), key=len)
    assert [m["role"] for m in messages] == ["user", *["assistant", "tool"] * 3]
    assert [m["tool_calls"][0]["id"] for m in messages[1::2]] == ["id-0", "id-1", "id-2"]
    assert [m["tool_call_id"] for m in messages[2::2]] == ["id-0", "id-1", "id-2"]
    assert json.loads(messages[2]["content"]) == {"ok": True, "price": 10.0}
    steps = records[0]["rounds"][0]
    assert json.loads(steps[1]["input"]) == {"ok": True, "price": 10.0}  # what is new, not all again
    assert steps[1]["info"]["state"]["price"] == 10.0


@pytest.mark.parametrize("task", PLANS)
def test_a_conversation_in_tags_accumulates_what_was_said(play, server, task):
    server.text = written(task)
    _, results = play(task, "agentic_history=conversation", stream=False)
    assert results[SUCCESS[task]] == 1.0
    messages = max((body["messages"] for _, _, body in server.requests), key=len)
    assert [m["role"] for m in messages] == ["user", *["assistant", "user"] * (len(PLANS[task]) - 1)]
    assert messages[1]["content"].startswith("<tool_call>")
    assert messages[2]["content"].startswith('Tool result: {"ok": true')
    assert all("tools" not in body for _, _, body in server.requests)


def test_without_settings_each_prompt_stands_alone_and_tells_of_tags(play, server):
    server.text = written("vending_bench2")
    _, results = play("vending_bench2", stream=False)
    assert results["vending_success,none"] == 1.0
    assert {len(body["messages"]) for _, _, body in server.requests} == {1}
    assert all("<tool_call>" in body["messages"][0]["content"] for _, _, body in server.requests)


def test_several_native_calls_of_a_reply_have_a_result_each(play, server):
    def calls(body):
        if len(body["messages"]) > 1:
            chosen = [("submit", '{"final": ""}'), ("submit", '{"final": "b"}')]
        else:
            chosen = [
                ("set_price", '{"price": 10}'),
                ("restock", '{"units": NaN}'),
                ("fly", "{}"),
                ("restock", '{"units": "' + "9" * 10**6 + '"}'),
                ("set_price", '{"a":' * 1000),
                ("simulate_days", '{"days": 2}</tool_call><submit>{"final": "x"}</submit>'),
            ]  # fmt: skip
        return [wire(f"c{place}", *call) for place, call in enumerate(chosen)]

    server.calls = calls
    records, _ = play("vending_bench2", "tool_format=native,agentic_history=conversation", stream=False)
    body = max((body for _, _, body in server.requests), key=lambda body: len(body["messages"]))
    told = [json.loads(m["content"]) for m in body["messages"] if m["role"] == "tool"]
    assert told[0] == {"ok": True, "price": 10.0}
    assert ["error" in result for result in told] == [False, True, True, True, True, True]
    assert "unknown tool" in told[2]["error"]
    assert records[0]["rounds"][0][-1]["info"]["invalid_steps"] == 5
    payload = json.loads(records[0]["filtered_resps"][0])
    assert (payload["success"], payload["submit"]) == (False, {"final": "b"})


def test_what_a_conversation_repeats_of_bad_calls_is_json_under_ids_of_their_own(play, server):
    """Servers with chat templates parse the arguments of earlier calls, and refuse ids that come twice."""
    server.calls = lambda body: [wire("a", "set_price", '{"price": '), wire("a", "restock", "null"), wire("a", "x", "")]
    play("vending_bench2", "tool_format=native,agentic_history=conversation", stream=False)
    messages = max((body["messages"] for _, _, body in server.requests), key=len)
    calls = [call for message in messages if message["role"] == "assistant" for call in message["tool_calls"]]
    assert {call["function"]["arguments"] for call in calls} == {"{}"}
    ids = [call["id"] for call in calls]
    assert len(set(ids)) == len(ids) == 3 * 9
    assert [m["tool_call_id"] for m in messages if m["role"] == "tool"] == ids
    assert "must be a JSON object" in messages[2]["content"]


def test_an_empty_reply_stands_in_a_conversation_as_a_message_with_content(play, server):
    server.text = ""
    records, _ = play("vending_bench2", "agentic_history=conversation", stream=False)
    messages = max((body["messages"] for _, _, body in server.requests), key=len)
    assert {m["content"] for m in messages if m["role"] == "assistant"} == {"(an empty reply)"}
    assert {step["output"] for step in records[0]["rounds"][0]} == {""}


@pytest.mark.parametrize(
    ("settings", "model", "said"),
    [
        ("tool_format=natve", "dummy", "*tool_format is 'natve'*"),
        ("agentic_history=all", "dummy", "*agentic_history is 'all'*"),
        ("agentic_trace_mode=loud", "dummy", "*agentic_trace_mode is 'loud'*"),
        ("max_agentic_steps=0", "dummy", "*max_agentic_steps is 0*"),
        ("tool_format=native", "dummy", "*offers models no tools*"),
    ],
)
def test_wrong_settings_are_told_before_anything_is_asked(run, settings, model, said):
    path = catalog.folder("benchmarks") / "vending_bench2" / "vending_bench2.yaml"
    outcome = run(path, "--lmms-gen-kwargs", settings, model=model)
    assert outcome.ret != 0
    outcome.stdout.fnmatch_lines([said])


def test_native_tools_need_documents_that_list_some(write_task, run, pytester):
    write_task(pytester.path / "bench", "toy", rows([1]), code=CODE, **FIELDS)
    pytester.makeconftest(CONFTEST)
    outcome = run("bench", "--lmms-gen-kwargs", "tool_format=native", model=None)
    assert outcome.ret != 0
    outcome.stdout.fnmatch_lines(["*tool_format=native needs documents with `tools`*"])


# Traces

PRICE = '<tool_call>{"name": "set_price", "arguments": {"price": 9}}</tool_call>'
REPLIES = [
    '<think>a <submit>{"final": 1}</submit>?</think>' + PRICE,
    "Hm.",
    '<submit>{"final": "done"}</submit>',
]
KEYS = ["round_idx", "round_input", "model_output", "terminal", "state", "tool_result", "tool_calls",
        "valid_tool_calls", "invalid_steps", "next_input"]  # fmt: skip
DAY = '<tool_call>{"name": "simulate_days", "arguments": {"days": 1}}</tool_call>'
SCRIPTED = """
import json, pytest
from pytest_lmms.testing import ScriptedModel

REPLIES = {replies!r}

def reply(request):
    if "no valid" in request.text:
        return REPLIES[2]
    return REPLIES[1] if '"price": 9' in request.text else REPLIES[0]

@pytest.fixture(scope="session")
def lmms_model():
    return ScriptedModel({answers})
"""


@pytest.fixture
def trace(run, records_of, pytester):
    """Play vending_bench2 with scripted replies; give the first record and its final payload."""

    def go(*arguments, answers="reply"):
        pytester.makeconftest(SCRIPTED.format(replies=REPLIES, answers=answers))
        assert run("--lmms-tasks", "vending_bench2", *arguments, model=None).ret == 0
        record = records_of("vending_bench2")[0]
        return record, json.loads(record["filtered_resps"][0])

    return go


def test_a_full_trace_repeats_every_round_with_the_state_as_it_was_then(trace):
    record, payload = trace("--lmms-agentic-trace-mode", "full")
    assert payload["agentic_trace_mode"] == "full"
    rounds = payload["agentic_rounds"]
    assert [list(each) for each in rounds] == [KEYS] * 3
    assert [each["round_idx"] for each in rounds] == [1, 2, 3]
    assert [each["terminal"] for each in rounds] == [False, False, True]
    assert [each["model_output"] for each in rounds] == REPLIES
    assert [each["state"]["price"] for each in rounds] == [9.0, 9.0, 9.0]
    assert rounds[0]["tool_result"] == {"ok": True, "price": 9.0}
    assert [(each["tool_calls"], each["valid_tool_calls"], each["invalid_steps"]) for each in rounds] == [
        (1, 1, 0), (1, 1, 1), (1, 1, 1),
    ]  # fmt: skip
    assert [each["next_input"] for each in rounds] == [rounds[1]["round_input"], rounds[2]["round_input"], ""]
    assert [each["input"] for each in record["rounds"][0]] == [each["round_input"] for each in rounds]


TEXTS = """
def ask(doc, kwargs=None, previous_output=None, round_idx=None, previous_round_info=None):
    return doc["question"] if round_idx is None else f"and {round_idx}?"

def score(doc, results):
    return {"said": float(results[0] == "heard and 2?")}
"""


def test_a_callback_that_returns_texts_alone_is_scored_by_the_last_reply(write_task, run, records_of, pytester):
    settings = {"generation_kwargs": {"max_agentic_steps": 3}}
    write_task(pytester.path / "bench", "toy", rows([1]), code=TEXTS, **FIELDS, **settings)
    pytester.makeconftest(CONFTEST)
    assert run("bench", model=None).ret == 0
    (record,) = records_of("toy")
    assert record["filtered_resps"] == ["heard and 2?"]
    assert (record["said"], len(record["rounds"][0])) == (1.0, 3)


def test_a_basic_trace_is_the_simulators_payload_alone(trace):
    _, payload = trace()
    assert not {"agentic_trace_mode", "agentic_rounds"} & set(payload)
    assert payload["trace"][0].startswith("<tool_call>")  # a submission among thoughts is none


def test_a_full_trace_of_spent_steps_stands_beside_the_error(trace):
    _, payload = trace("--lmms-gen-kwargs", "agentic_trace_mode=full,max_agentic_steps=3", answers="lambda r: 'Hm.'")
    assert payload["error"] == "max_agentic_steps_reached"
    assert [each["terminal"] for each in payload["agentic_rounds"]] == [False] * 3
    assert payload["agentic_rounds"][-1]["next_input"]


def test_the_state_of_each_round_is_kept_as_it_was_then(trace):
    record, _ = trace(answers=f"lambda request: {DAY!r}")
    days = [each["info"]["state"]["days_elapsed"] for each in record["rounds"][0]]
    assert days == list(range(1, 11))

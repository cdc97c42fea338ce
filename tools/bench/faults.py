"""The same faults before two harnesses: what each made of a dead endpoint, a scorer that raises, a key, a second run.

    python tools/bench/faults.py --peer-python PYTHON    # `make bench-faults`; PYTHON has lmms-eval
    python tools/bench/faults.py --only hash

Made-up tasks, local rows, a chat-completions server on loopback. It prints a table and judges nothing: every line was
run just now by both, or says why not; both must first evaluate without any fault. tests/faults holds the same cases as
tests of pytest-lmms.
"""

from __future__ import annotations

import argparse
import ast
import http.client
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from faults_lab import KEY, LIMIT_SECONDS, NUM_DOCUMENTS, ROOT, Lab, Server, free_port

LISTING = "import runpy, sys; sys.argv = ['x', 'tasks']; runpy.run_module({package!r}, run_name='__main__')"
NUM_CONCURRENT = 16
"""Requests that a run of pytest-lmms has in flight when it is killed."""
PACKAGE = "import {package} as p; print(p.__path__[0])"


def dead(lab: Lab) -> str:
    """Nobody listens."""
    done = lab.run("dead", base_url=f"http://127.0.0.1:{lab.later}/v1", cache="poison")
    return f"exit code {done.code}, score {done.value()}"


def poisoned(lab: Lab) -> str:
    """The endpoint is back at its address, the cache is that of `dead`."""
    server = Server(lab.later)
    server.text = "A"
    done = lab.run("healed", base_url=server.url, cache="poison")
    return f"asked {len(server.requests)}, score {done.value()}"


def cached(lab: Lab) -> str:
    """The same command twice, with the adapter that is recommended."""
    for name in ("once", "again"):
        lab.run(name, model="async_openai", cache="twice")
    return f"asked {lab.asked} again"


def raising(lab: Lab) -> str:
    """One of 200 documents cannot be scored, in the second of two tasks."""
    done = lab.run("raising", tasks="after,faults", raise_on="q57")
    kept = len(done.samples("after")), len(done.samples())
    return f"exit code {done.code}, samples {kept[0]} of 20 and {kept[1]} of {NUM_DOCUMENTS}"


def scored_again(lab: Lab) -> str:
    """How often that scorer was called."""
    calls = lab.folder / "raising" / "scored"
    return f"called {len(calls.read_text().split()) if calls.exists() else 0} times"


def hashes(lab: Lab) -> str:
    """Of the documents of one run."""
    rows = lab.run("hashes").samples()
    return f"{len({row.get('doc_hash') for row in rows})} among {len(rows)}"


def leaks(lab: Lab) -> str:
    """Files and terminal, after a run with a key among the model's arguments."""
    return ", ".join(sorted(set(lab.run("keys", cache="keys", key=KEY).leaks))) or "nowhere"


def evaluated(lab: Lab) -> str:
    """A model that is told of a tool calls it with Python in the place of JSON."""
    marker = lab.folder / "evaluated"
    code = f"__import__('pathlib').Path({str(marker)!r}).touch() or {{}}"
    call = {"id": "1", "type": "function", "function": {"name": "add", "arguments": code}}
    lab.server.plan = [{"text": "", "calls": [call], "reason": "tool_calls"}]
    arguments = f",mcp_server_path={lab.folder / 'tools.py'}"
    done = lab.run("tools", model="async_openai", tasks="small", arguments=arguments)
    lab.server.plan = []
    if "No module named 'mcp" in done.output:
        return "not run: the package mcp is missing there"
    if not any(body.get("tools") for _, _, body in lab.server.requests):
        return f"not run: no tool was offered, exit code {done.code}"
    return "ran" if marker.exists() else "did not run"


def foreign(lab: Lab) -> str:
    """A page of another site asks the server of the web page for its tasks."""
    port = free_port()
    theirs = ["-m", "uvicorn", "lmms_eval.tui.server:app", "--port", str(port)]
    ours = ["-m", "pytest_lmms", "serve", "--port", str(port), "--devices", "cpu"]
    environment = os.environ | {"PYTHONPATH": "" if lab.is_peer else str(ROOT)}
    process = subprocess.Popen([lab.python, *(theirs if lab.is_peer else ours)], cwd=lab.folder, env=environment,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    try:
        return _asked_from_elsewhere(port, process)
    finally:
        process.terminate()
        process.wait()


def _asked_from_elsewhere(port: int, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + LIMIT_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request("GET", "/models", headers={"Origin": "http://elsewhere.example", "Cookie": "a=b"})
            answer = connection.getresponse()
        except OSError:
            time.sleep(0.2)
            continue
        allowed = answer.getheader("Access-Control-Allow-Origin") or "nobody"
        return f"HTTP {answer.status}, answers may be read by {allowed}"
    return "not run: the server did not start"


def clustered(lab: Lab) -> str:
    """A task with a `cluster_key`, and how many tasks have one."""
    done = lab.run("by-video", tasks="clusters")
    found = done.value("acc_stderr_clustered", "clusters")
    shown = f"{found:.3f}" if isinstance(found, float) else found
    tasks = [path.read_text(errors="replace") for path in _folder(lab, "tasks").rglob("*.yaml")]
    return f"{shown}; {sum('cluster_key:' in text for text in tasks)} of {len(tasks)} YAMLs have one"


def killed(lab: Lab) -> str:
    """Killed in the middle, and run again with the same cache: what had been answered should not be asked again."""
    arguments = "" if lab.is_peer else f",num_concurrent={NUM_CONCURRENT}"
    lab.server.pause_seconds = 0.02
    lab.run("killed", cache="killed", kill_after=100, arguments=arguments)
    asked, before = lab.asked, lab.questions
    lab.server.pause_seconds = 0.0
    lab.run("goes-on", cache="killed", arguments=arguments)
    again = len(before & lab.questions)
    bound = "" if lab.is_peer else f" (up to {NUM_CONCURRENT} were in flight)"
    return f"{asked} of {NUM_DOCUMENTS} asked, then {lab.asked}, {again} of them again{bound}"


def fractions(lab: Lab) -> str:
    """Half of a task of 4 and half of one of 20."""
    limit = "--limit" if lab.is_peer else "--lmms-limit"
    done = lab.run("fraction", tasks="small,after", options=(limit, "0.5"))
    return f"{len(done.samples('small'))} of 4, {len(done.samples('after'))} of 20"


def ignored(lab: Lab) -> str:
    """What of the task's settings and the command line reached the server."""
    said = "--system_instruction" if lab.is_peer else "--lmms-system-instruction"
    lab.run("settings", tasks="stops", options=(said, "Be brief."))
    bodies = [body for _, _, body in lab.server.requests]
    stop = sum(body.get("stop") == ["STOP"] for body in bodies)
    system = sum(body["messages"][0]["role"] == "system" for body in bodies)
    return f"stop string in {stop}, system message in {system} of {len(bodies)} requests"


def mistyped(lab: Lab) -> str:
    """An argument that no adapter has."""
    done = lab.run("mistyped", tasks="small", arguments=",max_retrys=3")
    return f"exit code {done.code}, asked {lab.asked}"


def addresses(lab: Lab) -> str:
    """In results.json."""
    text = lab.run("addresses", tasks="small").results
    return f"{text.count(' at 0x')} places" if text else "no file"


def listing(lab: Lab) -> str:
    """Whether listing tasks imports torch."""
    code = LISTING.format(package="lmms_eval" if lab.is_peer else "pytest_lmms")
    watched = f"import atexit, sys\natexit.register(lambda: print('torch' in sys.modules, file=sys.stderr))\n{code}"
    environment = os.environ | {"PYTHONPATH": "" if lab.is_peer else str(ROOT)}
    done = subprocess.run([lab.python, "-c", watched], env=environment, cwd=lab.folder, capture_output=True, text=True,
                          check=False)  # fmt: skip
    return "yes" if done.stderr.strip().endswith("True") else "no"


def evals_in_tasks(lab: Lab) -> str:
    """Calls in the code of tasks: eval and exec of text, and draws at random."""
    evals = draws = 0
    for path in _folder(lab, "tasks").rglob("*.py"):
        try:
            calls = [n for n in ast.walk(ast.parse(path.read_text(errors="replace"))) if isinstance(n, ast.Call)]
        except SyntaxError:
            continue
        names = [ast.unparse(call.func) for call in calls]
        evals += sum(name in ("eval", "exec") for name in names)
        draws += sum(name in ("random.choice", "random.sample", "random.shuffle") for name in names)
    return f"{evals} evaluate text, {draws} draw at random"


def _folder(lab: Lab, name: str) -> Path:
    if not lab.is_peer:
        return ROOT / "benchmarks"
    code = PACKAGE.format(package="lmms_eval")
    done = subprocess.run([lab.python, "-c", code], capture_output=True, text=True, check=True, cwd=lab.folder)
    return Path(done.stdout.strip().splitlines()[-1]) / name


def control(lab: Lab) -> None:
    """Evaluate without any fault: a harness that cannot do that would lose every line for a reason of its own.

    Raises:
        SystemExit: It cannot.
    """
    done = lab.run("undisturbed", tasks="small")
    if (done.code, lab.asked, done.value(task="small")) != (0, 4, 1.0):
        said = f"exit code {done.code}, asked {lab.asked} of 4, score {done.value(task='small')}"
        raise SystemExit(
            f"{lab.python} cannot evaluate without a fault ({said}); its output ends:\n{done.output[-1500:]}"
        )


FAULTS: dict[str, Callable[[Lab], str]] = {
    "the endpoint is dead": dead,
    "it is back, with the same cache": poisoned,
    "the same command a second time": cached,
    "a scorer raises on 1 of 200": raising,
    "that scorer on that document": scored_again,
    "different hashes of documents": hashes,
    "a key among the arguments lies in": leaks,
    "Python in the place of a tool's arguments": evaluated,
    "a page of another site asks the server": foreign,
    "the clustered error": clustered,
    "killed after 100 requests, run again": killed,
    "half of each task": fractions,
    "settings that reach the server": ignored,
    "an argument mistyped": mistyped,
    "addresses in memory in results.json": addresses,
    "listing tasks imports torch": listing,
    "code of tasks": evals_in_tasks,
}
NOT_RUN = {
    "a stop string that nobody wrote": "its local adapters add one, and need weights; ours in tests/faults",
    "time to parse, to decode, to encode, to write": "measured by bench, bench-media, bench-remote, on a quiet machine",
    "several processes": "lmms-eval needs an accelerator a process; read in its code, ours in tests/plugin",
    "a batch of several tasks": "its local adapters need weights; ours in tests/models",
    "judges that fail": "its judges ask providers' own addresses; ours in tests/plugin/test_judge.py",
    "archives, pickles, scripts of datasets": "read in its code; ours in tests/faults/test_hostile_input.py",
    "baselines, filters, stability, groups": "compared by tests/parity and tests/results",
}
"""Weaknesses that tests/faults/test_peers_weaknesses.py keeps out, and why no line shows both sides."""


def main() -> None:
    """Run all cases and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--peer-python", type=os.path.abspath, help="a Python that has lmms-eval; without it, its column says not run"
    )
    parser.add_argument("--only", default="", help="lines that hold this text")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ours = Lab(Path(folder) / "ours", sys.executable, is_peer=False)
        theirs = Lab(Path(folder) / "theirs", options.peer_python, is_peer=True) if options.peer_python else None
        for lab in filter(None, (ours, theirs)):
            control(lab)
        print("| fault | lmms-eval | pytest-lmms |\n|---|---|---|", flush=True)
        for fault, run in FAULTS.items():
            if options.only in fault:
                said = run(theirs) if theirs else "not run: no --peer-python"
                print(f"| {fault} | {said} | {run(ours)} |", flush=True)
    for fault, reason in NOT_RUN.items():
        if options.only in fault:
            print(f"| {fault} | not run: {reason} | |")


if __name__ == "__main__":
    main()

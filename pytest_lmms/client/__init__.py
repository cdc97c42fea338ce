"""Clients of `pytest-lmms serve`, and of lmms-eval's server: methods and answers are those of lmms-eval's clients.

with EvalClient("http://127.0.0.1:8000") as client:
    job = client.evaluate("qwen2_5_vl", ["mme"], model_args={"pretrained": "checkpoints/step_500"})
    results = client.wait_for_job(job["job_id"])["result"]["results"]
"""

from pytest_lmms.client.blocking import EvalClient
from pytest_lmms.client.nonblocking import AsyncEvalClient
from pytest_lmms.client.protocol import FIELDS, Event, JobError, RefusedError

__all__ = ["FIELDS", "AsyncEvalClient", "EvalClient", "Event", "JobError", "RefusedError"]

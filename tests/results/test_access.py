"""Whether a run's copy will be taken, asked before anything is loaded: against servers of this machine."""

from __future__ import annotations

import functools

import httpx
import pytest
from huggingface_hub import constants

from pytest_lmms.errors import UsageError
from pytest_lmms.results import access
from pytest_lmms.results.access import check_address, check_hub
from tests.hub_server import Hub, running


@pytest.fixture
def loopback(monkeypatch):
    """A Hub on this machine."""
    with running(Hub()) as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_TOKEN", "hf_loopback")
        yield server


@pytest.mark.parametrize("url", ["hf://datasets/me/runs", "hf://datasets/ME/runs/ci", "memory://x", "file:///tmp"])
def test_an_address_that_takes_files_is_let_through(loopback, url):
    check_address(url, "--lmms-output-path")
    assert len(loopback.asked) == url.startswith("hf")


@pytest.mark.parametrize(
    ("account", "expected"),
    [
        (None, "refuses the token"),
        ({"name": "me", "auth": {"accessToken": {"role": "read"}}}, "may only read"),
        ({"name": "you", "orgs": [{"name": "them"}]}, "may not write below me; expected one of you, them"),
    ],
)
def test_a_token_that_may_not_write_there_is_refused(loopback, account, expected):
    loopback.account = account
    with pytest.raises(UsageError) as e:
        check_address("hf://datasets/me/runs", "--lmms-output-path")
    assert expected.partition(";")[0] in str(e.value)
    assert expected.rpartition("one of ")[2] in str(e.value)


def test_no_token_is_told_without_asking_anybody(loopback, monkeypatch, tmp_path):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(UsageError, match="hf auth login"):
        check_hub("me", "here")
    assert loopback.asked == []


def test_a_hub_that_is_switched_off_is_told(loopback, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UsageError, match="HF_HUB_OFFLINE"):
        check_hub("me", "here")


def test_a_hub_that_is_not_there_is_told(loopback, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UsageError, match="does not answer"):
        check_hub("me", "here")


def test_a_bucket_without_a_server_is_told(monkeypatch):
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    for name, value in {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "a",
                        "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(access, "SECONDS", 1.0)
    with pytest.raises(UsageError, match="AWS_ACCESS_KEY_ID"):
        check_address("s3://runs/x", "--lmms-output-path")


def test_a_token_goes_to_no_other_server_by_redirect(monkeypatch):
    with running(Hub()) as other:
        sent_on = f"{other.endpoint}/api/whoami-v2"

        def redirect(request):
            return httpx.Response(307, headers={"Location": sent_on})

        transport = httpx.MockTransport(redirect)
        client = functools.partial(httpx.Client, transport=transport)
        monkeypatch.setattr(httpx, "Client", client)
        answer = access.ask("GET", "http://hub.example/api/whoami-v2", "here", "none")
        assert (answer.status_code, answer.is_success) == (307, False)
        assert answer.json()["error"]["message"] == f"sends requests on to {sent_on}"
        assert other.asked == []

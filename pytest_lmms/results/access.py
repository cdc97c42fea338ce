"""Whether a run's copy will be taken where it is going, asked before anything is loaded: one request, a few seconds.

A refusal is told at once. What only the writing itself can show (a full quota, a rule about paths) is told at the end,
and the run folder stays.
"""

from __future__ import annotations

import importlib
from typing import Any

from pytest_lmms import httpbounds
from pytest_lmms.errors import UsageError, explain

SECONDS = 5.0
"""How long a server may take to answer."""
_REFUSED = (401, 403)


def check_address(url: str, where: str) -> None:
    """Ask whoever keeps an address whether it will take files; addresses other than `hf://` and `s3://` are not asked.

    Raises:
        UsageError: It will not, or cannot be reached.
    """
    scheme, _, path = url.partition("://")
    if scheme.lower() == "hf":
        parts = path.split("/")
        owner = parts[1] if parts[0] in ("datasets", "spaces", "models") and len(parts) > 1 else parts[0]
        check_hub(owner, where)
    elif scheme.lower() in ("s3", "s3a"):
        _check_s3(url, where)


def check_hub(owner: str, where: str) -> None:
    """Find a token of the Hub that may write below `owner`.

    Raises:
        UsageError: There is none, it may not, or the Hub does not answer.
    """
    hub: Any = importlib.import_module("huggingface_hub")
    if hub.constants.HF_HUB_OFFLINE:
        raise UsageError(explain("HF_HUB_OFFLINE keeps the Hub from being asked", where=where,
                                 remedy="unset it, or write into a folder of this machine"))  # fmt: skip
    token = hub.get_token()
    if not token:
        raise UsageError(explain("no token of the Hub, which writing there needs", where=where,
                                 remedy="set HF_TOKEN, or: hf auth login"))  # fmt: skip
    endpoint = str(hub.constants.ENDPOINT)
    answer = ask("GET", f"{endpoint}/api/whoami-v2", where, "write into a folder of this machine, and push it later",
                 headers={"Authorization": f"Bearer {token}"})  # fmt: skip
    if answer.status_code in _REFUSED:
        raise UsageError(explain(f"{endpoint} refuses the token", where=where,
                                 remedy="set another HF_TOKEN, or: hf auth login"))  # fmt: skip
    said = answer.json() if answer.is_success else {}
    if ((said.get("auth") or {}).get("accessToken") or {}).get("role") == "read":
        raise UsageError(explain("this token of the Hub may only read", where=where,
                                 remedy="make one that may write, and set HF_TOKEN"))  # fmt: skip
    owners = [said.get("name"), *(org.get("name") for org in said.get("orgs") or ())]
    if said.get("name") and owner.lower() not in [str(name).lower() for name in owners]:
        raise UsageError(explain(f"this token of the Hub may not write below {owner}", where=where,
                                 expected="one of " + ", ".join(map(str, owners))))  # fmt: skip


def ask(method: str, url: str, where: str, remedy: str, **request: Any) -> Any:
    """Send one request.

    Returns:
        The answer, whatever its status.

    Raises:
        UsageError: None came within `SECONDS`.
    """
    httpx: Any = importlib.import_module("httpx")
    try:
        with httpx.Client(timeout=SECONDS, follow_redirects=True, event_hooks=httpbounds.hooks()) as client:
            return client.request(method, url, **request)
    except (httpx.HTTPError, httpx.InvalidURL) as e:
        why = str(e) or type(e).__name__
        raise UsageError(explain(f"{url} does not answer: {why}", where=where, remedy=remedy)) from e


def _check_s3(url: str, where: str) -> None:
    """Ask for the bucket; one that is not there will be made, and one that may only be written to is fine."""
    s3fs: Any = importlib.import_module("s3fs")
    limits = {"connect_timeout": SECONDS, "read_timeout": SECONDS, "retries": {"max_attempts": 0}}
    fs = s3fs.S3FileSystem(config_kwargs=limits, skip_instance_cache=True)
    fs.retries = 1
    try:
        fs.call_s3("head_bucket", Bucket=fs.split_path(url)[0])
    except (PermissionError, FileNotFoundError):
        return
    except Exception as e:
        remedy = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; AWS_ENDPOINT_URL names a server"
        why = str(e).strip().partition("\n")[0] or type(e).__name__
        raise UsageError(explain(f"{url} cannot be asked: {why}", where=where, remedy=remedy)) from e

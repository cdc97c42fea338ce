"""OpenAI's batch API, for runs that can wait: half the price, an answer within a day."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pytest_lmms.errors import ModelError, UsageError, explain
from pytest_lmms.inference.model import BatchModel
from pytest_lmms.jsonl import dumps, loads
from pytest_lmms.records import Request, Response

from ._chat_stream import BrokenReplyError, RefusedError, read_whole
from .openai import OpenAIChat

_OVER = frozenset({"failed", "expired", "cancelled"})
_MARK = "pytest_lmms"
"""Key of a batch's metadata: the digest of what it asks, by which an interrupted run finds it again."""
_NUM_LISTED = 100

"""A document's report comes out of the wire as it went in."""

from __future__ import annotations

import pytest

from pytest_lmms.plugin.recording import PROPERTY
from pytest_lmms.plugin.transport import pack, unpack


def report(**changes):
    fields = {
        "nodeid": "benchmarks/mme/mme.yaml::mme[3]", "location": ("benchmarks/mme/mme.yaml", 0, "mme[3]"),
        "keywords": {}, "outcome": "passed", "longrepr": None, "when": "call", "duration": 0.25, "start": 1.0,
        "stop": 1.25,
        "user_properties": [(PROPERTY, {"task": "mme", "doc_id": 3, "status": "scored", "score": 1.0})],
    }  # fmt: skip
    return pytest.TestReport(**(fields | changes))


def test_a_report_survives_the_journey():
    sent = report()
    received = unpack(pack(sent))
    for name in ("nodeid", "location", "outcome", "when", "duration", "start", "stop", "user_properties", "sections"):
        assert getattr(received, name) == getattr(sent, name)


@pytest.mark.parametrize(
    "changes",
    [
        {"outcome": "failed", "longrepr": "why"},
        {"when": "teardown"},
        {"user_properties": []},
        {"user_properties": [(PROPERTY, {}), ("other", 1)]},
        {"sections": [("Captured stdout call", "text")]},
        {"keywords": {"slow": 1}},
    ],
)
def test_a_report_that_says_more_travels_as_always(changes):
    assert pack(report(**changes)) is None

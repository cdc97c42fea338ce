"""Requests made from the server's own description of itself: whatever is sent, nothing breaks."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from pytest_lmms import catalog
from pytest_lmms.server.app import ServerSettings, make_app
from pytest_lmms.server.policy import Policy

schemathesis = pytest.importorskip("schemathesis")


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    roots = (catalog.folder("benchmarks"),)
    app = make_app(ServerSettings(folder / "data", Policy(output_roots=(folder,)), ("cpu",), roots))
    app.state.queue.free.clear()  # nothing is started
    return schemathesis.openapi.from_asgi("/openapi.json", app, headers={"Host": "127.0.0.1"})


def test_no_request_breaks_the_server(api):
    operations = [result.ok() for result in api.get_all_operations()]
    assert {"/evaluate", "/jobs/{job_id}", "/form/preview"} <= {o.path for o in operations}
    for operation in operations:

        @given(case=operation.as_strategy())
        @settings(
            max_examples=15, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck),
            database=None,
        )  # fmt: skip
        def ask(case):
            response = case.call(headers={"Host": "127.0.0.1"})
            assert response.status_code < 500 or response.status_code in {501, 503}, response.text

        ask()

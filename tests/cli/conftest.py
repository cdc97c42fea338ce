"""Commands run in this process."""

from __future__ import annotations

import pytest

from pytest_lmms.cli import main


@pytest.fixture
def run(capsys):
    def call(*arguments):
        code = main([str(a) for a in arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call

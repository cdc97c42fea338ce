"""One random tiny checkpoint for all tests of local models."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_lmms import catalog


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    import torch

    torch.set_num_threads(1)
    tiny_models = catalog.import_file(Path(__file__).parents[1] / "tiny_models.py")
    return tiny_models.save_tiny_qwen2_5_vl(tmp_path_factory.mktemp("tiny_qwen2_5_vl"))

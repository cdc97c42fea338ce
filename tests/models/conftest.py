"""One random tiny checkpoint for all tests of local models."""

from __future__ import annotations

import pytest

from tests.tiny_models import save_tiny_qwen2_5_vl


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    import torch

    torch.set_num_threads(1)
    return save_tiny_qwen2_5_vl(tmp_path_factory.mktemp("tiny_qwen2_5_vl"))

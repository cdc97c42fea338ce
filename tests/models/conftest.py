"""One random tiny checkpoint for all tests of local models."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from pytest_lmms import catalog


def use_torchvision(folder: str) -> None:
    """Make a torchvision usable that was built for another torch, as `make test-models` installs it.

    Its processing of images and videos is Python over torch; of its compiled operators two must only have names.
    """
    import torch

    for name in ("nms", "qnms"):
        torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    sys.path.insert(0, folder)


if os.environ.get("TEST_TORCHVISION"):
    use_torchvision(os.environ["TEST_TORCHVISION"])


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    import torch

    torch.set_num_threads(1)
    tiny_models = catalog.import_file(Path(__file__).parents[1] / "tiny_models.py")
    return tiny_models.save_tiny_qwen2_5_vl(tmp_path_factory.mktemp("tiny_qwen2_5_vl"))

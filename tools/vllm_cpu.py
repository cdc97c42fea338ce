"""Complete an environment that holds vLLM's CPU build without its dependencies.

    PYTHON tools/vllm_cpu.py requirements     # print what is to be installed beside it
    PYTHON tools/vllm_cpu.py torchvision      # make torchvision's Python parts importable beside a CPU torch

vLLM imports torchvision in every process, also in the one that inspects a model's architecture. The wheel of
torchvision is built for CUDA; its Python parts work once two operators have names, which a file of the environment
gives them when torchvision is first imported.
"""

from __future__ import annotations

import importlib.metadata
import re
import sys
import sysconfig
from pathlib import Path

LEFT_OUT = frozenset({"torch", "torchaudio", "torchcodec", "torchvision"})
HOOK = '''"""Names two operators before torchvision is imported; see tools/vllm_cpu.py of pytest-lmms."""

import importlib.abc
import sys


class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "torchvision":
            sys.meta_path.remove(self)
            import torch

            for operator in ("nms", "qnms"):
                schema = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
                torch.library.define(f"torchvision::{operator}", schema)
        return None


sys.meta_path.insert(0, Finder())
'''


def requirements() -> list[str]:
    """What vLLM's CPU build asks for, without extras and without the family of torch."""
    lines = importlib.metadata.requires("vllm-cpu") or []
    wanted = [line for line in lines if "extra ==" not in line]
    return [line for line in wanted if re.split(r"[^A-Za-z0-9_.-]", line)[0].lower() not in LEFT_OUT]


def main() -> None:
    """Do what the command line says."""
    if sys.argv[1:] == ["requirements"]:
        print("\n".join(requirements()))
    elif sys.argv[1:] == ["torchvision"]:
        folder = Path(sysconfig.get_path("purelib"))
        (folder / "torchvision_operators.py").write_text(HOOK, encoding="utf-8")
        (folder / "torchvision_operators.pth").write_text("import torchvision_operators\n", encoding="utf-8")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()

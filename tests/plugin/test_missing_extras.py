"""A library that an extra brings is not installed: what a user reads."""

from __future__ import annotations

import pytest

from pytest_lmms.errors import install_hint

WITHOUT = """
import sys

for name in ("torch", "transformers", "accelerate"):
    sys.modules[name] = None  # as if it were not installed
"""


@pytest.mark.parametrize("model", ["tiny_vlm", "async_hf"])
def test_a_local_model_without_torch_says_which_extra_brings_it(pytester, model):
    pytester.makeconftest(WITHOUT)
    outcome = pytester.runpytest_subprocess(
        "--lmms-tasks=mme", "--lmms-data=mini", "--lmms-limit=1", f"--lmms-model={model}"
    )
    assert outcome.ret == 1
    outcome.stdout.fnmatch_lines(["*pip install 'pytest-lmms[[]local[]]'*"])


@pytest.mark.parametrize(
    ("module", "extra"),
    [("torch", "local"), ("torch.cuda", "local"), ("google.genai.types", "gemini"), ("lance", "lance")],
)
def test_a_part_of_a_library_is_brought_by_the_librarys_extra(module, extra):
    assert install_hint(ModuleNotFoundError("No module", name=module)) == f"pip install 'pytest-lmms[{extra}]'"


@pytest.mark.parametrize("error", [ModuleNotFoundError("x", name="my_module"), ImportError("libcudart"), OSError()])
def test_nothing_is_suggested_that_would_not_help(error):
    assert install_hint(error) is None

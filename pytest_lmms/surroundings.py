"""What a run depends on beside its settings, as run.json and results.json keep it: versions and variables."""

from __future__ import annotations

import os

from pytest_lmms.masks import MASK, is_secret, mask, secrets_of


def versions() -> dict[str, str]:
    """Versions of what a score may depend on; packages that are not installed are left out."""
    import platform
    from importlib import metadata

    names = ("pytest-lmms", "pytest", "pytest-xdist", "datasets", "torch", "transformers", "openai", "pillow", "av")
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def environment() -> dict[str, str]:
    """Environment variables that steer a run; secrets, and what holds the value of one, masked."""
    prefixes = ("LMMS_", "HF_", "OPENAI_", "CUDA_", "TRANSFORMERS_", "VLLM_", "OMP_")
    secrets = secrets_of(os.environ)
    chosen = {k: v for k, v in sorted(os.environ.items()) if k.startswith(prefixes)}
    return {k: MASK if v and (is_secret(k) or secrets.hide(v) != v) else mask(v) for k, v in chosen.items()}

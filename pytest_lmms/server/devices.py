"""The devices that a server gives to jobs."""

from __future__ import annotations

from collections.abc import Mapping

CPU = "cpu"


def found_devices(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Numbers of the GPUs that this process may use, or `cpu` where there is none."""
    import shutil
    import subprocess

    if "CUDA_VISIBLE_DEVICES" in environ:
        return tuple(d.strip() for d in environ["CUDA_VISIBLE_DEVICES"].split(",") if d.strip()) or (CPU,)
    program = shutil.which("nvidia-smi")
    if program is None:
        return (CPU,)
    command = [program, "--query-gpu=index", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)  # noqa: S603 (no input)
    return tuple(done.stdout.split()) or (CPU,) if done.returncode == 0 else (CPU,)

"""An installation without torch evaluates a model behind an API, here a server on this machine.

Arguments: the installation's pytest, and the folder that it is run in.
"""

import os
import subprocess
import sys

from tests.chat_server import Server

pytest, folder = sys.argv[1:]
server = Server()
command = [pytest, "--lmms-tasks", "mme", "--lmms-data", "mini", "--lmms-model", "openai", "--lmms-model-args",
           f"model=any,base_url={server.url}"]  # fmt: skip
environment = {**os.environ, "OPENAI_API_KEY": "none"}
code = subprocess.run(command, cwd=folder, env=environment, check=False).returncode  # noqa: S603  (our own words)
sys.exit(code or len(server.requests) != 8)

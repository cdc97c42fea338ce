"""Judges that task files written for lmms-eval call themselves, by the names of its `llm_judge`.

`standins` gives this package that name where lmms-eval is not installed. Whoever is named, an engine of ours asks:
replies are kept, attempts repeated, and a judge that fails is an error of the document, whatever its scoring makes of
it.
"""

from pytest_lmms.llm_judge.protocol import Request, Response, ServerConfig
from pytest_lmms.llm_judge.servers import ProviderFactory, ServerInterface, get_server
from pytest_lmms.llm_judge.wording import JudgePromptBuilder, ResponseParser

__all__ = [
    "JudgePromptBuilder",
    "ProviderFactory",
    "Request",
    "Response",
    "ResponseParser",
    "ServerConfig",
    "ServerInterface",
    "get_server",
]

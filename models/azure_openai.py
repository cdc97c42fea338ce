"""Models that Azure serves: chat completions under a deployment's address."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pytest_lmms.errors import UsageError, explain

from ._chat_completions import ChatCompletions

_VERSION_VARIABLES = ("OPENAI_API_VERSION", "API_VERSION")


@dataclass(kw_only=True, eq=False, repr=False)
class AzureOpenAIChat(ChatCompletions):
    """As `ChatCompletions`; `model` is the deployment's name, `base_url` the resource's address."""

    key_variables: ClassVar[tuple[str, ...]] = ("AZURE_OPENAI_API_KEY", "AZURE_API_KEY")
    base_url_variables: ClassVar[tuple[str, ...]] = ("AZURE_OPENAI_ENDPOINT", "AZURE_ENDPOINT")

    api_version: str | None = None
    """The API's version, a date. None: OPENAI_API_VERSION, else API_VERSION."""

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            UsageError: See `ChatCompletions`; no address or no version.
        """
        super().__post_init__()
        said = (os.environ.get(name) for name in _VERSION_VARIABLES)
        self._version = str(self.api_version or next((v for v in said if v), ""))
        for what, value, names in (
            ("base_url", self._base_url, self.base_url_variables),
            ("api_version", self._version, _VERSION_VARIABLES),
        ):
            if not value:
                raise UsageError(
                    explain(f"no {what}", where=what, remedy=f"set {' or '.join(names)}, or pass {what}=...")
                )

    @property
    def identity(self) -> Mapping[str, Any]:
        """As that of `ChatCompletions`, with the API's version."""
        return {**super().identity, "api_version": self._version}

    def _open(self) -> Any:
        return self._openai.AsyncAzureOpenAI(
            api_key=self._key.value,
            azure_endpoint=self._base_url,
            azure_deployment=self._name,
            api_version=self._version,
            **self._client_settings(),
        )

"""Tools that any agentic task may offer: a document lists the name in its `tools`, and its simulator has no such tool.

Others come through the hook `pytest_lmms_register_tools`; that is where a sandbox of one's own is plugged in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pytest_lmms.errors import UsageError, explain

Tool = Callable[[dict[str, Any], Mapping[str, Any]], dict[str, Any]]


class Toolbox:
    """Tools by name."""

    def __init__(self) -> None:
        """Begin with none but our own."""
        self._tools: dict[str, Tool] = {}

    def register(self, name: str, tool: Tool) -> None:
        """Add a tool, or replace the one of that name.

        Args:
            name: As documents list it.
            tool: ``(state, arguments)`` to a result, JSON; one with the key ``error`` is an invalid step, and so is a
                ValueError. Runs on a thread beside others; what it executes it has to contain by itself.

        Raises:
            UsageError: It cannot be called.
        """
        if not callable(tool):
            raise UsageError(explain(f"tool {name!r} is {tool!r}", expected="a function of (state, arguments)"))
        self._tools[name] = tool

    def find(self, name: str) -> Tool | None:
        """Return the tool of that name, or None."""
        return self._tools.get(name)


TOOLS = Toolbox()

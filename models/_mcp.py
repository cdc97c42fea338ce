"""A client of a Model Context Protocol server that runs as a child process and speaks on standard input and output.

Knows tools by name and JSON, and no model. What a server sends is data: nothing of it is evaluated.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from pytest_lmms.errors import ModelError, UsageError, explain
from pytest_lmms.jsonl import dumps, loads
from pytest_lmms.masks import is_secret

PROTOCOL = "2025-06-18"
START_SECONDS = 30.0
CALL_SECONDS = 120.0
LONGEST_LINE = 64 * 1024 * 1024
MOST_PAGES = 1000
"""Of a list of tools."""
_UNKNOWN_METHOD = -32601


class McpServer:
    """One server process, used by many conversations at once. For one event loop."""

    def __init__(self, path: str, variables: Iterable[str] = ()) -> None:
        """Take a path; nothing starts before `start`.

        Args:
            path: A Python script, or a program.
            variables: Names of secrets of the environment that it gets, and no others: a model says what it does.

        Raises:
            UsageError: No such file, or no such variable.
        """
        if not os.path.isfile(path):
            raise UsageError(explain(f"no such file: {path}", where="mcp_server_path", expected="an MCP server"))
        self._command = [sys.executable, path] if path.endswith(".py") else [os.path.abspath(path)]
        for name in (wanted := frozenset(variables)):
            if name not in os.environ:
                raise UsageError(
                    explain(f"no such variable: {name}", where="mcp_variables", remedy=f"export {name}=...")
                )
        self._path = path
        self._variables = wanted
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._ids = itertools.count(1)

    async def start(self) -> None:
        """Start the process and greet it.

        Raises:
            ModelError: It does not start, or does not greet back within 30 s.
        """
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=LONGEST_LINE,
                env={n: v for n, v in os.environ.items() if n in self._variables or not is_secret(n)},
            )
        except OSError as error:
            raise ModelError(explain(f"cannot be started: {error}", where=self._path)) from error
        self._reader = asyncio.create_task(self._read())
        client = {"name": "pytest-lmms", "version": "1"}
        greeting = {"protocolVersion": PROTOCOL, "capabilities": {}, "clientInfo": client}
        await self._request("initialize", greeting, seconds=START_SECONDS)
        await self._send({"method": "notifications/initialized"})

    async def tools(self) -> list[Mapping[str, Any]]:
        """All tools: `name`, `description`, `inputSchema`.

        Raises:
            ModelError: The list does not end, or see `call`.
        """
        found: list[Mapping[str, Any]] = []
        cursor: dict[str, Any] = {}
        for _ in range(MOST_PAGES):
            page = await self._request("tools/list", cursor, seconds=START_SECONDS)
            found += page.get("tools", ())
            if not page.get("nextCursor"):
                return found
            cursor = {"cursor": page["nextCursor"]}
        raise ModelError(explain(f"its list of tools has more than {MOST_PAGES:,} pages", where=self._path))

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Call a tool.

        Returns:
            `content`, a list of parts with a `type`; `isError`.

        Raises:
            ModelError: The server has died, or does not answer within two minutes.
        """
        result: Mapping[str, Any] = await self._request("tools/call", {"name": name, "arguments": arguments})
        return result

    async def stop(self) -> None:
        """End the process: politely, then not."""
        if self._process is None:
            return
        process, self._process = self._process, None
        if process.stdin is not None:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 2)
        except (asyncio.TimeoutError, TimeoutError):
            process.kill()
            await process.wait()
        if self._reader is not None:
            self._reader.cancel()

    async def _request(self, method: str, params: Mapping[str, Any], *, seconds: float = CALL_SECONDS) -> Any:
        number = next(self._ids)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            await self._send({"id": number, "method": method, "params": params})
            return await asyncio.wait_for(future, seconds)
        except (asyncio.TimeoutError, TimeoutError):
            raise ModelError(explain(f"no answer to {method} within {seconds:g} s", where=self._path)) from None
        finally:
            self._waiting.pop(number, None)

    async def _send(self, message: Mapping[str, Any]) -> None:
        stdin = self._process.stdin if self._process is not None else None
        if stdin is None or (self._reader is not None and self._reader.done()):
            raise ModelError(explain("the server of tools has ended", where=self._path))
        try:
            stdin.write(dumps({"jsonrpc": "2.0", **message}) + b"\n")
            await stdin.drain()
        except OSError as error:
            raise ModelError(explain(f"the server of tools has ended: {error}", where=self._path)) from error

    async def _read(self) -> None:
        assert self._process is not None  # noqa: S101
        stdout = self._process.stdout
        assert stdout is not None  # noqa: S101
        try:
            while line := await stdout.readline():
                try:
                    message = loads(line)
                except ValueError:
                    continue  # a stray print
                if isinstance(message, dict):
                    await self._take(message)
        finally:
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(ModelError(explain("the server of tools has ended", where=self._path)))

    async def _take(self, message: Mapping[str, Any]) -> None:
        number = message.get("id")
        if "method" in message:
            if number is not None:  # the server asks: it may want to know whether we live, and no more
                refusal = {"error": {"code": _UNKNOWN_METHOD, "message": "not supported"}}
                await self._send({"id": number, **({"result": {}} if message["method"] == "ping" else refusal)})
            return
        future = self._waiting.get(number) if isinstance(number, int) else None
        if future is None or future.done():
            return
        if "error" in message:
            future.set_exception(ModelError(explain(str(message["error"].get("message")), where=self._path)))
        else:
            future.set_result(message.get("result") or {})

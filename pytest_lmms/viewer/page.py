"""One HTML file that needs nothing else: page, style, script, and the data of a run, compressed."""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "page"
STYLES = ("style.css",)
SCRIPTS = ("dom.js", "source.js", "plots.js", "records.js", "document.js", "views.js", "app.js")


@functools.cache
def _joined(names: tuple[str, ...]) -> str:
    return "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in names)


def make_page(data: Mapping[str, Any] | None, *, title: str) -> str:
    """The page as one text.

    Args:
        data: What it shows: `runs` (summaries), `records` (run -> task -> records), `messages` (run -> task -> document
            -> messages), `comparisons`; None for a page that asks its server.
        title: Of the window.
    """
    script = f"(() => {{\n'use strict';\n{_joined(SCRIPTS)}\n}})();"
    style = _joined(STYLES)
    embedded = ""
    if data is not None:
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        packed = base64.b64encode(gzip.compress(text, 6, mtime=0)).decode("ascii")
        embedded = f'<script type="application/octet-stream" id="data">{packed}</script>\n'
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src 'self' data: blob:; "
        "media-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'"
    )
    page = (FOLDER / "page.html").read_text(encoding="utf-8")
    for name, content in (
        ("TITLE", _escaped(title)), ("POLICY", policy), ("STYLE", style), ("DATA", embedded), ("SCRIPT", script),
    ):  # fmt: skip
        page = page.replace(f"<!--{name}-->", content, 1)
    return page


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def _escaped(text: str) -> str:
    import html

    return html.escape(text)

"""One HTML file that needs nothing else: page, style, script, and the data of a run, compressed."""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "page"
STYLES = ("style.css",)
SCRIPTS = ("dom.js", "source.js", "plots.js", "records.js", "document.js", "views.js", "app.js")


@functools.cache
def _joined(names: tuple[str | Path, ...]) -> str:
    """The texts of files one after the other; a name alone is one of the viewer's own."""
    return "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in names)


def make_page(data: Mapping[str, Any] | None, *, title: str) -> str:
    """The viewer as one text.

    Args:
        data: What it shows: `runs` (summaries), `records` (run -> task -> records), `messages` (run -> task -> document
            -> messages), `comparison`; None for a page that asks its server.
        title: Of the window.
    """
    embedded = ""
    if data is not None:
        packed = base64.b64encode(gzip.compress(_encoded(data), 6, mtime=0)).decode("ascii")
        embedded = f'<script type="application/octet-stream" id="data">{packed}</script>\n'
    return assemble(FOLDER / "page.html", scripts=SCRIPTS, styles=STYLES, title=title, data=embedded)


def _encoded(data: Mapping[str, Any]) -> bytes:
    """JSON in UTF-8; with escapes where a model wrote half of a surrogate pair, which UTF-8 has no bytes for."""
    try:
        return json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except UnicodeEncodeError:
        return json.dumps(data, separators=(",", ":"), allow_nan=False).encode()


def assemble(
    page: Path, *, scripts: Sequence[str | Path], styles: Sequence[str | Path], title: str, data: str = ""
) -> str:
    """Put a page, its styles and its scripts into one text that allows no others.

    Args:
        page: HTML with the places `<!--TITLE-->`, `<!--POLICY-->`, `<!--STYLE-->`, `<!--DATA-->` and `<!--SCRIPT-->`.
        scripts: Files; a name alone is one of the viewer's own.
        styles: Likewise.
        title: Of the window.
        data: An element with data.
    """
    script = f"(() => {{\n'use strict';\n{_joined(tuple(scripts))}\n}})();"
    style = _joined(tuple(styles))
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src 'self' data: blob:; "
        "media-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'"
    )
    text = page.read_text(encoding="utf-8")
    for name, content in (
        ("TITLE", _escaped(title)), ("POLICY", policy), ("STYLE", style), ("DATA", data), ("SCRIPT", script),
    ):  # fmt: skip
        text = text.replace(f"<!--{name}-->", content, 1)
    return text


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def _escaped(text: str) -> str:
    import html

    return html.escape(text)

"""HumanEval-V: Python functions whose behaviour only a diagram shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Doc = Mapping[str, Any]
PROMPT = """Complete the Python function below. What it has to do is only partly said in its signature: the image
shows the rest, so work out from it how inputs lead to outputs. Reply with the whole function, its imports and
signature included, in one block that begins with ```python.

```python
{signature}
```"""


def humaneval_v_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the diagram."""
    return [doc["diagram"].convert("RGB")]


def humaneval_v_doc_to_text(doc: Doc) -> str:
    """Return the request and the function's signature."""
    return PROMPT.format(signature=doc["function_signature"].rstrip())

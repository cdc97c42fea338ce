"""YAML of strangers: plain values only, no deeper than a C parser's stack bears, no larger than memory bears.

libyaml's composer calls itself for every level, and a file of 50 KB ends the process. Aliases multiply: nine lines of
nine aliases each stand for a thousand million values as soon as somebody prints them.
"""

from __future__ import annotations

from typing import Any

import yaml

MAX_DEPTH = 100
MAX_NODES = 200_000
"""Values of a file, aliases followed."""
_LONGEST_NUMBER = 200
"""Characters; Python reads and writes longer numbers in the square of their length, or not at all."""
_NUMBERS = {f"tag:yaml.org,2002:{kind}": kind for kind in ("int", "float", "timestamp", "bool")}
_OPENERS = ("[", "{", "- ", "-\t", "? ", "?\t")
"""What opens a level on the line where another one is open. Other levels cost a line and ever more blanks."""
_FEW_OPENERS = 1_000
_SHORT_CHARACTERS = 2 * MAX_NODES
"""A value takes two characters at least."""


class UnboundedError(yaml.YAMLError):
    """A text that is too deep or stands for too many values."""


def check_depth(text: str) -> None:
    """Refuse what is too deep or too long, before it is composed. Ordinary files are told by counting characters.

    Raises:
        UnboundedError: More than `MAX_DEPTH` levels, or `MAX_NODES` values.
        yaml.YAMLError: It does not parse.
    """
    if len(text) < _SHORT_CHARACTERS and sum(map(text.count, _OPENERS)) < _FEW_OPENERS:
        return
    depth = values = 0
    for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        values += isinstance(event, yaml.NodeEvent)
        if values > MAX_NODES:
            raise UnboundedError(f"more than {MAX_NODES:,} values")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                line = f", in line {event.start_mark.line + 1}" if event.start_mark else ""
                raise UnboundedError(f"more than {MAX_DEPTH} levels{line}")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def check_scalar(node: yaml.ScalarNode) -> None:
    """Refuse what YAML takes for a number, a date or a truth value, and Python cannot read.

    Raises:
        yaml.MarkedYAMLError: It is none, or longer than any is.
    """
    kind = _NUMBERS.get(node.tag)
    if kind is None:
        return
    if len(node.value) > _LONGEST_NUMBER:
        text = f"more than {_LONGEST_NUMBER} characters where {kind} is expected"
        raise yaml.constructor.ConstructorError(None, None, text, node.start_mark)
    try:
        yaml.SafeLoader.yaml_constructors[node.tag](yaml.constructor.SafeConstructor(), node)
    except (ValueError, OverflowError, KeyError, AttributeError) as e:
        text = f"{node.value!r} is no {kind}"
        raise yaml.constructor.ConstructorError(None, None, text, node.start_mark) from e


def check_size(root: yaml.Node | None) -> None:
    """Refuse aliases that multiply, anchors that hold themselves and what is no number; each node is looked at once.

    Raises:
        UnboundedError: More than `MAX_NODES` values, or without end.
        yaml.MarkedYAMLError: As for `check_scalar`.
    """
    if root is not None:
        _count(root, {})


def _count(node: yaml.Node, known: dict[int, int]) -> int:
    """How many values a node stands for."""
    found = known.get(id(node))
    if found == 0:
        raise UnboundedError(f"an anchor holds itself, in line {node.start_mark.line + 1}")
    if found is not None:
        return found
    if isinstance(node, yaml.ScalarNode):
        check_scalar(node)
        return 1
    known[id(node)] = 0
    children = (c for pair in node.value for c in pair) if isinstance(node, yaml.MappingNode) else node.value
    total = 1 + sum(_count(child, known) for child in children)
    if total > MAX_NODES:
        line = node.start_mark.line + 1
        raise UnboundedError(f"more than {MAX_NODES:,} values, aliases followed, from line {line} on")
    known[id(node)] = total
    return total


def load_plain(text: str) -> Any:
    """The value of a YAML text: mappings, lists and scalars.

    Raises:
        yaml.YAMLError: It does not parse, asks for another object, is too deep or too large.
    """
    check_depth(text)
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        check_size(node)
        return None if node is None else loader.construct_document(node)
    except RecursionError as e:
        raise UnboundedError("too many levels") from e
    finally:
        loader.dispose()

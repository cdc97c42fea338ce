"""How a family file states its defaults: once, in the constructor's signature, where arguments are checked by name."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pytest_lmms.errors import UsageError, explain

_Class = TypeVar("_Class", bound=type)


def family(
    *,
    synonyms: Mapping[str, str] | None = None,
    image_settings: Mapping[str, Any] | None = None,
    idle: Mapping[str, str] | None = None,
    **defaults: Any,
) -> Callable[[_Class], _Class]:
    """Give a class its parent's constructor with other defaults.

    Args:
        synonyms: Other spellings of arguments, as lmms-eval has them: ``{"num_frames": "max_num_frames"}``.
        image_settings: Arguments of the family's own that are settings of its image processor, with their defaults;
            None leaves a setting to the checkpoint.
        idle: Arguments that lmms-eval has and that change nothing here, with the reason; giving one warns.
        defaults: New defaults of the parent's arguments.

    Returns:
        A decorator. `inspect.signature` of the class then shows the new defaults and the added arguments.
    """
    synonyms, settings, idle = dict(synonyms or {}), dict(image_settings or {}), dict(idle or {})

    def decorate(cls: _Class) -> _Class:
        construct: Any = cls.__init__  # type: ignore[misc]
        signature = inspect.signature(construct)
        parameters = dict(signature.parameters)
        for name, default in defaults.items():
            parameters[name] = parameters[name].replace(default=default)
        for name in (*synonyms, *settings, *idle):
            parameters[name] = inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=settings.get(name), annotation=Any
            )
        ordered = sorted(parameters.values(), key=lambda parameter: parameter.kind)

        @functools.wraps(construct)
        def __init__(self: Any, *args: Any, **arguments: Any) -> None:  # noqa: N807  (a constructor)
            for name in idle.keys() & arguments.keys():
                warnings.warn(f"{name} has no effect here: {idle[name]}", stacklevel=2)
                del arguments[name]
            for name in synonyms.keys() & arguments.keys():
                meant = synonyms[name]
                if meant in arguments:
                    raise UsageError(explain(f"{name} and {meant} are the same argument", remedy="give one of them"))
                arguments[meant] = arguments.pop(name)
            own = {name: arguments.pop(name, default) for name, default in settings.items()}
            if own := {name: value for name, value in own.items() if value is not None}:
                arguments["image_settings"] = {**own, **(arguments.get("image_settings") or {})}
            positional = list(signature.parameters)[1 : len(args) + 1]
            given = {**dict(zip(positional, args, strict=True)), **arguments}
            construct(self, **{**defaults, **given})

        __init__.__signature__ = signature.replace(parameters=ordered)  # type: ignore[attr-defined]
        cls.__init__ = __init__  # type: ignore[misc]
        return cls

    return decorate

"""Options, ini keys and hooks; `--lmms-list`; the header.

Declares what `config.OPTIONS` holds and reads nothing itself.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import pytest

from pytest_lmms import hookspecs
from pytest_lmms.config import DEFAULT, LATEST, OPTIONS
from pytest_lmms.errors import LmmsError, UsageError
from pytest_lmms.plugin.session import KEY, LmmsSession, session_of
from pytest_lmms.registry import MODELS
from pytest_lmms.results.remote import is_remote


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare every option and its ini key."""
    group = parser.getgroup("lmms", "evaluation of multimodal models (pytest-lmms)")
    for option in OPTIONS:
        if option.kind == "flag":
            group.addoption(option.option, action="store_true", default=None, dest=option.ini, help=option.help)
            group.addoption(
                option.option.replace("--", "--no-", 1),
                action="store_false",
                dest=option.ini,
                default=None,
                help=f"switch {option.option} off",
            )
        elif option.kind == "optional":
            group.addoption(
                option.option,
                nargs="?",
                const=option.const,
                default=None,
                dest=option.ini,
                metavar=option.metavar,
                help=option.help,
            )
        else:
            group.addoption(option.option, default=None, dest=option.ini, metavar=option.metavar, help=option.help)
        parser.addini(option.ini, option.help.replace("%%", "%"), default=None)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare our hooks."""
    pluginmanager.add_hookspecs(hookspecs)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(args: list[str]) -> None:
    """Keep an option whose value may be left out from swallowing a path that follows it."""
    for i, word in enumerate(args[:-1]):
        following = args[i + 1]
        if word in ("--lmms-resume", "--lmms-retry-errors") and not _is_run(following):
            args[i] = f"{word}={LATEST}"
        if word == "--lmms-fail-on-regression" and os.path.exists(following.partition("::")[0]):
            args[i] = f"{word}={DEFAULT}"


def _is_run(text: str) -> bool:
    """Whether a word names a run; one that is too long for a name of a file is none (`Path` would raise)."""
    return is_remote(text) or os.path.isfile(os.path.join(text, "run.json"))


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Read the settings, let plugins register what they bring, check what needs no documents."""
    try:
        session = LmmsSession(config)
        config.stash[KEY] = session
        _register(config)
        settings = session.settings
        if settings.model is not None:
            MODELS.canonical(settings.model, where=settings.sources.get("model", "--lmms-model"))
        if settings.gen_kwargs:
            from pytest_lmms.tasks.generation import build_generation

            build_generation(settings.gen_kwargs, where=settings.sources["gen_kwargs"])
    except LmmsError as e:
        raise pytest.UsageError(str(e)) from e


def _register(config: pytest.Config) -> None:
    """Call the registering hooks."""
    hook = config.hook
    if hook.pytest_lmms_register_models.get_hookimpls():
        hook.pytest_lmms_register_models(register=MODELS.register)
    if hook.pytest_lmms_register_metrics.get_hookimpls():
        from pytest_lmms.scoring.metrics import register_hooked

        hook.pytest_lmms_register_metrics(register=register_hooked)
    if hook.pytest_lmms_register_filters.get_hookimpls():
        from pytest_lmms.scoring.filters import register_filter

        hook.pytest_lmms_register_filters(register=register_filter)
    if hook.pytest_lmms_register_tools.get_hookimpls():
        from pytest_lmms.scoring.toolbox import TOOLS

        hook.pytest_lmms_register_tools(register=TOOLS.register)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Answer `--lmms-list` and stop."""
    what = config.getoption("lmms_list")
    if what is None:
        return None
    config._do_configure()
    try:
        settings = session_of(config).settings
        from pytest_lmms.plugin.listing import listing

        for line in listing(str(settings.list), settings):
            print(line)  # noqa: T201  (this is what was asked for)
    except UsageError as e:
        raise pytest.UsageError(str(e)) from e
    finally:
        config._ensure_unconfigure()
    return 0


def pytest_report_header(config: pytest.Config) -> list[str] | None:
    """Say which model, and who chose it."""
    settings = session_of(config).settings
    if settings.model is None or not _wants_documents(config):
        return None
    given = settings.resolved()["model_args"]  # as a config file has it: a text, or a mapping
    arguments = "".join(f", {k}={v}" for k, v in given.items()) if isinstance(given, Mapping) else f", {given}"
    arguments = session_of(config).secrets.hide(arguments)
    origin = f"(from {settings.sources['model']})"
    return [f"lmms: model {settings.model}{arguments} {origin}, data {settings.data}, batch size {settings.batch_size}"]


def _wants_documents(config: pytest.Config) -> bool:
    from pytest_lmms.plugin.paths import may_hold_tasks

    return may_hold_tasks(config)

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("what", "shown", "hidden"),
    [
        ("groups", ["family*group of one, two"], ["letters *", "one *"]),
        ("tags", ["letters*tag of one"], ["family *", "one *"]),
        ("tasks", ["one*one.yaml", "family*group of*", "letters*tag of*"], []),
    ],
)
def test_a_list_names_what_was_asked_for(pytester, write_task, what, shown, hidden):
    folder = pytester.path / "mine"
    write_task(folder, "one", tag="letters")
    write_task(folder, "two")
    (folder / "family.yaml").write_text("group: family\ntask: [one, two]\n")
    result = pytester.runpytest_subprocess("--lmms-list", what, "--lmms-task-paths", "mine")
    assert result.ret == 0
    for line in shown:
        result.stdout.fnmatch_lines([line])
    for line in hidden:
        result.stdout.no_fnmatch_line(line)

"""An audit that looked nothing up is no clean bill."""

from __future__ import annotations

from tools.audit import verdict

KNOWN = [{"name": f"p{i}", "version": "1", "vulns": []} for i in range(20)]
SKIPPED = {"name": "ours", "skip_reason": "not found"}
HOLE = {"name": "old", "version": "1.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"]}]}


def test_packages_without_known_vulnerabilities_are_fine_although_our_own_is_not_known():
    code, lines = verdict([*KNOWN, SKIPPED])
    assert code == 0
    assert lines == ["20 of 21 packages looked up, 0 known vulnerabilities", "not looked up: ours"]


def test_a_vulnerability_is_told_with_the_version_that_mends_it():
    code, lines = verdict([*KNOWN, HOLE])
    assert code == 1
    assert lines[0] == "old 1.0: PYSEC-1, fixed in 1.1"


def test_an_index_that_knows_no_package_audits_nothing():
    code, lines = verdict([SKIPPED] * 30)
    assert code == 2
    assert "too few" in lines[-1]

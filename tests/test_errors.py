from __future__ import annotations

from scanner import errors


def test_exit_codes_are_the_documented_ones() -> None:
    assert errors.UsageProblem("x").exit_code == 2
    assert errors.InputProblem("x").exit_code == 2
    assert errors.RulesProblem("x").exit_code == 2
    assert errors.ScanIncomplete("x").exit_code == 3

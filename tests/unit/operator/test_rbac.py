"""What the operator may do, and above all what it may not."""

from __future__ import annotations

from pathlib import Path

import yaml

from wayfare_operator import rbac

CHART = Path(__file__).parents[3] / "helm" / "wayfare" / "files" / "rbac-rules.yaml"


def all_rules() -> list[dict[str, list[str]]]:
    """Every rule that the operator gets anywhere."""
    return [rule for rules in rbac.as_document().values() for rule in rules]


def test_no_rule_has_a_wildcard() -> None:
    for rule in all_rules():
        assert all("*" not in value for values in rule.values() for value in values)


def test_secrets_can_be_made_and_not_read() -> None:
    verbs = {
        verb
        for rule in all_rules()
        if "secrets" in rule.get("resources", [])
        for verb in rule["verbs"]
    }
    assert verbs == {"create"}


def test_our_own_specs_cannot_be_changed_by_the_operator_unless_bundles_are_let() -> None:
    rules = {where: these for where, these in rbac.as_document().items() if where != "bundleRules"}
    for rule in (rule for these in rules.values() for rule in these):
        for resource in rule.get("resources", []):
            if resource in ("engines", "segments", "journeys", "channels"):
                assert set(rule["verbs"]) <= {"get", "list", "watch"}


def test_the_chart_has_these_rules() -> None:
    assert yaml.safe_load(CHART.read_text()) == rbac.as_document()


def test_the_documentation_has_these_rules() -> None:
    page = Path(__file__).parents[3] / "docs" / "operator.md"
    assert rbac.as_table() in page.read_text()

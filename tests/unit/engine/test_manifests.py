"""Manifests in a folder, and where a problem with one stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from wayfare_engine.dev.compile import NoSuchEngine, compile_folder
from wayfare_engine.dev.manifests import read_folder

HEAD = "apiVersion: wayfare.dev/v1alpha1\n"
ENGINE = (
    HEAD + "kind: Engine\nmetadata: {name: retail}\n"
    "spec:\n  stores: {managed: {}}\n  customers: {attributes: [{name: age, type: int}]}\n"
)
SEGMENT = (
    HEAD + "kind: Segment\nmetadata: {name: %s}\nspec:\n  engineRef: {name: retail}\n  rule: %s\n"
)


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


def test_good_ones_are_compiled_and_a_broken_one_is_named_with_its_place(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        engine=ENGINE,
        good=SEGMENT % ("old", "customer.age >= 55"),
        broken=SEGMENT % ("bad", "customer.agee >= 55"),
    )

    compiled = compile_folder(read_folder(folder), imported=[], previous=None)

    assert [s.name for s in compiled.plan.segments] == ["default/old"]
    [problem] = compiled.problems
    assert str(problem.place) == "broken.yaml:6:17"
    assert "Segment default/bad: spec.rule:" in problem.message
    assert "agee" in problem.message


def test_imported_columns_can_be_used_and_declared_types_win(tmp_path: Path) -> None:
    folder = write(
        tmp_path, engine=ENGINE, s=SEGMENT % ("s", 'customer.age > 1 && customer.job == "x"')
    )

    compiled = compile_folder(
        read_folder(folder), imported=[("age", "string"), ("job", "string")], previous=None
    )

    assert compiled.problems == ()


def test_what_is_no_yaml_or_breaks_the_schema_has_its_line(tmp_path: Path) -> None:
    write(tmp_path, a="x: [1\ny: 2\n", b=ENGINE.replace("type: int", "type: whole"))

    problems = read_folder(tmp_path).problems

    assert [p.place.path for p in problems] == ["a.yaml", "b.yaml"]
    assert problems[0].message.startswith("no YAML")
    assert problems[1].place.line == 6


def test_the_last_good_version_goes_on(tmp_path: Path) -> None:
    write(tmp_path, engine=ENGINE, s=SEGMENT % ("s", "customer.age >= 55"))
    first = compile_folder(read_folder(tmp_path), imported=[], previous=None)
    write(tmp_path, s=SEGMENT % ("s", "customer.age >="))

    second = compile_folder(read_folder(tmp_path), imported=[], previous=first.plan)

    assert second.problems
    assert second.plan.segments == first.plan.segments


def test_objects_of_others_are_left_alone(tmp_path: Path) -> None:
    write(tmp_path, other="apiVersion: v1\nkind: Namespace\nmetadata: {name: bank}\n")

    folder = read_folder(tmp_path)

    assert (folder.manifests, folder.problems) == ((), ())
    with pytest.raises(NoSuchEngine, match="no Engine"):
        compile_folder(folder, imported=[], previous=None)


def test_a_recovery_plan_is_read_and_has_no_part_in_what_is_compiled(tmp_path: Path) -> None:
    plan = (
        HEAD + "kind: RecoveryPlan\nmetadata: {name: retail}\nspec:\n  engineRef: {name: retail}\n"
        "  sites: [{name: east}, {name: %s}]\n  objectives: {rto: 15m, rpo: 1m}\n"
    )
    write(tmp_path, engine=ENGINE, good=plan % "west", s=SEGMENT % ("s", "customer.age > 1"))
    compiled = compile_folder(read_folder(tmp_path), imported=[], previous=None)
    assert compiled.problems == ()
    assert not compiled.plan.journeys

    write(tmp_path, good=plan % "east")
    [problem] = read_folder(tmp_path).problems
    assert "the two sites have the same name" in problem.message

"""What holds for the schema of every kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from wayfare_engine.resources import KINDS, crd
from wayfare_engine.resources.crd import root_schema
from wayfare_engine.resources.generate import HEADER, crd_yaml, generated_files, main, stale_files

TOP = Path(__file__).parents[3]
MOST_BYTES = 200_000

Schema = dict[str, Any]


def fields(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Every schema below, with its path; metadata is Kubernetes' own."""
    for name, field in schema.get("properties", {}).items():
        if f"{path}.{name}" != ".metadata":
            yield from _with(field, f"{path}.{name}")
    if isinstance(schema.get("items"), dict):
        yield from _with(schema["items"], f"{path}[]")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from _with(schema["additionalProperties"], f"{path}{{}}")


def _with(schema: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    yield path, schema
    yield from fields(schema, path)


every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))


@every_kind
def test_every_field_is_described(kind: Any) -> None:
    bare = [
        path
        for path, field in fields(root_schema(kind))
        if not path.endswith(("[]", "{}")) and not field.get("description", "").strip()
    ]
    assert bare == []


@every_kind
def test_every_string_has_a_longest_length(kind: Any) -> None:
    unbounded = [
        path
        for path, field in fields(root_schema(kind))
        if field.get("type") == "string"
        and path not in (".apiVersion", ".kind")
        and "maxLength" not in field
        and "enum" not in field
    ]
    assert unbounded == []


@every_kind
def test_every_list_and_map_has_a_most(kind: Any) -> None:
    unbounded = [
        path
        for path, field in fields(root_schema(kind))
        if (field.get("type") == "array" and "maxItems" not in field)
        or ("additionalProperties" in field and "maxProperties" not in field)
    ]
    assert unbounded == []


@every_kind
def test_every_list_says_who_owns_its_entries(kind: Any) -> None:
    silent = [
        path
        for path, field in fields(root_schema(kind))
        if field.get("type") == "array" and "x-kubernetes-list-type" not in field
    ]
    assert silent == []


@every_kind
def test_no_field_may_be_null(kind: Any) -> None:
    nullable = [
        path
        for path, field in fields(root_schema(kind))
        if field.get("nullable") or {"type": "null"} in field.get("anyOf", ())
    ]
    assert nullable == []


@every_kind
def test_every_entry_of_a_keyed_list_must_have_its_key(kind: Any) -> None:
    for path, field in fields(root_schema(kind)):
        for key in field.get("x-kubernetes-list-map-keys", ()):
            assert key in field["items"]["required"], path


@every_kind
def test_a_crd_stays_small(kind: Any) -> None:
    assert len(crd_yaml(kind.name).encode()) <= MOST_BYTES


@every_kind
def test_status_is_not_filled_in_by_the_api_server(kind: Any) -> None:
    status = root_schema(kind)["properties"]["status"]
    assert [path for path, field in fields(status) if "default" in field] == []


@every_kind
def test_a_kind_has_the_names_people_type(kind: Any) -> None:
    names = crd(kind.name)["spec"]["names"]
    assert names["categories"] == ["wayfare"]
    assert names["shortNames"] == [kind.short_name]
    assert crd(kind.name)["spec"]["versions"][0]["subresources"] == {"status": {}}


def test_the_generated_files_are_fresh() -> None:
    assert stale_files(generated_files(TOP)) == [], "run `make generate`"


def test_generating_writes_what_check_then_finds_fresh(tmp_path: Path) -> None:
    assert main(["--check", "--top", str(tmp_path)]) == 1
    assert main(["--top", str(tmp_path)]) == 0
    assert main(["--check", "--top", str(tmp_path)]) == 0
    assert (tmp_path / "crds" / "engines.yaml").read_text().startswith(HEADER)


def test_an_edited_crd_is_found_stale(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--top", str(tmp_path)])
    edited = tmp_path / "crds" / "journeys.yaml"
    edited.write_text(edited.read_text().replace("maximum: 1000", "maximum: 9"))
    assert main(["--check", "--top", str(tmp_path)]) == 1
    assert "stale: crds/journeys.yaml" in capsys.readouterr().err

"""Bodies of rows: what was written once stays readable, and what is newer is refused."""

from __future__ import annotations

import json
import typing
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ledger.golden import FOLDER, path, shape
from wayfare_engine.ledger import Kind, bodies
from wayfare_engine.ledger.versions import Bodies, Body

VERSIONS = [
    (kind, version)
    for kind, shapes in bodies.BODIES.shapes.items()
    for version in range(1, len(shapes) + 1)
]


@pytest.mark.parametrize(("kind", "version"), VERSIONS)
def test_a_shape_that_was_written_never_changes(kind: str, version: int) -> None:
    golden = json.loads(path(kind, version).read_text())
    struct = bodies.BODIES.shapes[kind][version - 1]

    assert shape(struct) == golden["shape"], (
        f"the shape of {kind!r}, version {version}, changed: add a new version instead "
        "(see wayfare_engine/ledger/versions.py, and tests/ledger/golden.py)"
    )
    read = msgspec.json.decode(golden["example"], type=struct)
    assert msgspec.json.encode(read).decode() == golden["example"]
    defaults = {f.name: f.default for f in msgspec.structs.fields(struct) if f.name != "v"}
    assert all(getattr(read, name) != default for name, default in defaults.items())


@pytest.mark.parametrize(("kind", "version"), VERSIONS)
def test_every_version_is_read_as_the_newest(kind: str, version: int) -> None:
    golden = json.loads(path(kind, version).read_text())
    assert type(bodies.decode(kind, golden["example"])) is bodies.BODIES.shapes[kind][-1]


def test_every_kind_has_a_shape_and_every_golden_file_its_version() -> None:
    assert set(bodies.BODIES.shapes) == set(Kind)
    assert {file.name for file in FOLDER.iterdir()} == {path(*one).name for one in VERSIONS}


class PetV1(Body, kw_only=True, frozen=True):
    name: str

    def upgrade(self) -> PetV2:
        first, _, last = self.name.partition(" ")
        return PetV2(v=2, first=first, last=last)


class PetV2(Body, kw_only=True, frozen=True):
    first: str
    last: str

    def upgrade(self) -> PetV3:
        return PetV3(v=3, first=self.first, last=self.last, legs=4)


class PetV3(Body, kw_only=True, frozen=True):
    first: str
    last: str
    legs: int


PETS = Bodies({"pet": (PetV1, PetV2, PetV3)})


@pytest.mark.parametrize(
    "text",
    [
        '{"name":"Rex Harrison"}',
        '{"v":1,"name":"Rex Harrison"}',
        '{"v":2,"first":"Rex","last":"Harrison"}',
        '{"v":3,"first":"Rex","last":"Harrison","legs":4}',
    ],
)
def test_an_old_body_becomes_the_newest_step_by_step(text: str) -> None:
    assert PETS.decode("pet", text) == PetV3(v=3, first="Rex", last="Harrison", legs=4)


@pytest.mark.parametrize(
    "text", ['{"v":4,"first":"Rex","last":"H","legs":4}', '{"v":4,"quite":"different"}']
)
def test_a_newer_body_is_refused_also_when_it_looks_like_a_known_one(text: str) -> None:
    with pytest.raises(bodies.NewerBody) as refused:
        PETS.decode("pet", text)
    assert (refused.value.kind, refused.value.version, refused.value.newest) == ("pet", 4, 3)
    assert "upgrade it" in str(refused.value)


def test_an_unknown_kind_is_what_a_newer_program_wrote() -> None:
    with pytest.raises(bodies.NewerBody, match="does not know") as refused:
        PETS.decode("plant", '{"v":2}')
    assert refused.value.newest == 0
    with pytest.raises(bodies.NewerBody):
        PETS.require_readable("plant", 1)
    PETS.require_readable("pet", 3)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"v":0}', '{"v":3}', '{"v":"x"}', '{"v":2,"first":1,"last":""}', "9"],
)
def test_what_is_no_body_is_said_to_be_none(text: str) -> None:
    with pytest.raises(bodies.WrongBody, match="'pet'"):
        PETS.decode("pet", text)


def test_an_older_version_without_a_way_to_the_next_is_a_programming_error() -> None:
    with pytest.raises(TypeError, match="version 1 of pet"):
        Bodies({"pet": (PetV3, PetV1)})


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def _strategy(kind: Any) -> st.SearchStrategy[Any]:
    if typing.get_origin(kind) is typing.Literal:
        return st.sampled_from(typing.get_args(kind))
    if typing.get_origin(kind) is tuple:
        return st.lists(_strategy(typing.get_args(kind)[0]), max_size=3).map(tuple)
    if typing.get_origin(kind) is dict:
        return st.dictionaries(st.text(), _strategy(typing.get_args(kind)[1]), max_size=3)
    if typing.get_args(kind):
        return st.one_of([_strategy(one) for one in typing.get_args(kind)])
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return st.builds(kind, **_fields(kind))
    if kind is msgspec.Raw:
        return _json.map(lambda value: msgspec.Raw(msgspec.json.encode(value)))
    if kind is Any:
        return _json
    plain: dict[Any, st.SearchStrategy[Any]] = {
        str: st.text(),
        int: st.integers(-(2**63), 2**63 - 1),
        bool: st.booleans(),
        type(None): st.none(),
        datetime: st.datetimes(timezones=st.just(UTC)),
    }
    return plain[kind]


def _fields(struct: type[Any]) -> dict[str, st.SearchStrategy[Any]]:
    return {f.name: _strategy(f.type) for f in msgspec.structs.fields(struct) if f.name != "v"}


@pytest.mark.parametrize("kind", list(bodies.BODIES.shapes))
@given(data=st.data())
def test_what_is_written_is_what_is_read(kind: str, data: st.DataObject) -> None:
    struct = bodies.BODIES.shapes[kind][-1]
    made = struct(**{name: data.draw(s, label=name) for name, s in _fields(struct).items()})
    made = msgspec.structs.replace(made, v=bodies.BODIES.newest(kind))
    text = bodies.encode(made)
    assert bodies.decode(kind, text) == made
    assert bodies.encode(bodies.decode(kind, text)) == text

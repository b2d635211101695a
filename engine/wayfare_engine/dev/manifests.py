"""Reading a folder of manifests, each value with the line and column where it stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from wayfare_engine.resources import AnyResource, ResourceError, parse

GROUP = "wayfare.dev/"


@dataclass(frozen=True, order=True)
class Place:
    """Where in a file; line and column count from 1."""

    path: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


@dataclass(frozen=True)
class ManifestProblem:
    """What is wrong, and where."""

    place: Place
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


@dataclass(frozen=True)
class Manifest:
    """One object of a file; `places` by path, as in `spec.nodes[2].slot.when`."""

    resource: AnyResource
    places: Mapping[str, Place]

    def place(self, path: str) -> Place:
        """The place of `path`, or of the nearest part of it that is there."""
        while path and path not in self.places:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self.places[path]


@dataclass(frozen=True)
class Folder:
    """What a folder holds: what could be read, and problems with the rest."""

    manifests: tuple[Manifest, ...] = ()
    problems: tuple[ManifestProblem, ...] = field(default=())


def read_folder(folder: Path, *, namespace: str = "default") -> Folder:
    """Read every .yaml and .yml below `folder`. Objects of other API groups are left alone."""
    manifests: list[Manifest] = []
    problems: list[ManifestProblem] = []
    for path in files_of(folder):
        shown = str(path.relative_to(folder))
        try:
            text = path.read_text(encoding="utf-8")
            documents = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
        except UnicodeDecodeError:
            problems.append(ManifestProblem(Place(shown, 1, 1), "the file is not UTF-8"))
            continue
        except OSError as error:
            problems.append(ManifestProblem(Place(shown, 1, 1), str(error.strerror)))
            continue
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            place = Place(shown, mark.line + 1 if mark else 1, mark.column + 1 if mark else 1)
            problems.append(ManifestProblem(place, f"no YAML: {error.problem}"))
            continue
        except yaml.YAMLError as error:
            problems.append(ManifestProblem(Place(shown, 1, 1), f"no YAML: {error}"))
            continue
        for node in documents:
            found = _read(node, shown, namespace)
            if isinstance(found, Manifest):
                manifests.append(found)
            elif found is not None:
                problems.extend(found)
    return Folder(tuple(manifests), tuple(problems))


def files_of(folder: Path) -> list[Path]:
    """The manifests below a folder, in a fixed order; hidden folders are left out."""
    found = [p for p in folder.rglob("*") if p.suffix in (".yaml", ".yml") and p.is_file()]
    return sorted(
        p for p in found if not any(part.startswith(".") for part in p.relative_to(folder).parts)
    )


def _read(
    node: yaml.Node | None, shown: str, namespace: str
) -> Manifest | list[ManifestProblem] | None:
    if node is None:
        return None
    places = {path: Place(shown, mark[0], mark[1]) for path, mark in _places(node, "")}
    constructor = yaml.constructor.SafeConstructor()
    try:
        value = constructor.construct_document(node)
    except yaml.YAMLError as error:
        return [ManifestProblem(places[""], f"no YAML: {error}")]
    if not isinstance(value, dict) or not str(value.get("apiVersion", "")).startswith(GROUP):
        return None
    metadata = value.get("metadata")
    if isinstance(metadata, dict):
        metadata.setdefault("namespace", namespace)
    try:
        return Manifest(parse(_plain(value)), places)
    except ResourceError as error:
        known = Manifest(None, places)  # type: ignore[arg-type]
        return [ManifestProblem(known.place(path), f"{path}: {m}") for path, m in error.problems]


def _plain(value: Any) -> Any:
    """YAML reads times as times; the API server would have seen the text."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if hasattr(value, "isoformat"):
        text = str(value.isoformat())
        return text if "+" in text or "T" not in text else text + "Z"
    return value


def _places(node: yaml.Node, path: str) -> Iterator[tuple[str, tuple[int, int]]]:
    mark = node.start_mark
    yield path, (mark.line + 1, mark.column + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                yield from _places(value, f"{path}.{key.value}" if path else str(key.value))
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _places(item, f"{path}[{index}]")

"""Image archives."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from wayfare_lab.errors import ImageNotFound, InvalidArchive
from wayfare_lab.images import find_archive, normal, read_archive, write_archive

REFERENCE = "localhost/thing:1"


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program"
    path.write_bytes(b"\x7fELF")
    return path


def test_an_archive_names_its_image_and_its_configuration(tmp_path: Path, program: Path) -> None:
    path = tmp_path / "image.tar"
    write_archive(path, REFERENCE, {"bin/program": program}, entrypoint=["/bin/program"])
    archive = read_archive(path)
    assert archive.references == (REFERENCE,)
    with tarfile.open(path) as content:
        assert archive.config_digest.removeprefix("sha256:") + ".json" in content.getnames()


def test_the_same_input_gives_the_same_archive(tmp_path: Path, program: Path) -> None:
    paths = [tmp_path / "one.tar", tmp_path / "two.tar"]
    for path in paths:
        write_archive(path, REFERENCE, {"program": program}, entrypoint=["/program"])
    assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8b broken"])
def test_a_file_that_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "image.tar"
    path.write_bytes(content)
    with pytest.raises(InvalidArchive):
        read_archive(path)


def test_an_oci_archive_is_read(tmp_path: Path) -> None:
    layout = tmp_path / "oci"
    (layout / "blobs/sha256").mkdir(parents=True)
    manifest = {"config": {"digest": "sha256:c0ffee"}, "layers": []}
    (layout / "blobs/sha256/beef").write_text(json.dumps(manifest))
    entry = {
        "digest": "sha256:beef",
        "annotations": {"io.containerd.image.name": REFERENCE},
    }
    (layout / "index.json").write_text(json.dumps({"manifests": [entry]}))
    path = tmp_path / "oci.tar"
    with tarfile.open(path, "w") as archive:
        archive.add(layout, ".")
    assert read_archive(path).references == (REFERENCE,)
    assert read_archive(path).config_digest == "sha256:c0ffee"


def test_a_reference_means_what_was_built(tmp_path: Path) -> None:
    built = tmp_path / "build/image/localhost_thing_1.tar"
    built.parent.mkdir(parents=True)
    built.touch()
    assert find_archive(REFERENCE, tmp_path) == built


def test_a_reference_that_was_not_built_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageNotFound, match="localhost/thing:1"):
        find_archive(REFERENCE, tmp_path)


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("wayfare", "docker.io/library/wayfare:latest"),
        ("wayfare:1", "docker.io/library/wayfare:1"),
        ("team/wayfare:1", "docker.io/team/wayfare:1"),
        ("localhost/wayfare:1", "localhost/wayfare:1"),
        ("host:5000/wayfare", "host:5000/wayfare:latest"),
    ],
)
def test_references_are_compared_as_the_runtime_stores_them(given: str, stored: str) -> None:
    assert normal(given) == stored

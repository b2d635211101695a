"""Image archives: writing small ones, reading what is in one, loading one into a site."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wayfare_lab.errors import CommandFailed, ImageNotFound, InvalidArchive
from wayfare_lab.system import enter

_CTR = ("ctr", "--namespace=k8s.io", "images")
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Archive:
    """What an archive says of its image."""

    references: tuple[str, ...]
    config_digest: str
    """``sha256:…`` of the image's configuration: what Kubernetes calls the image id."""


def write_archive(
    path: Path, reference: str, files: dict[str, Path], *, entrypoint: list[str]
) -> None:
    """Write a docker-archive of one layer. The same input gives the same bytes.

    :param files: path in the image (no leading slash) → file of the host, kept executable.
    """
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        for name, source in sorted(files.items()):
            _add(archive, name, source.read_bytes(), mode=0o755)
    diff = hashlib.sha256(layer.getvalue()).hexdigest()
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Entrypoint": entrypoint, "User": "65532:65532"},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff}"]},
            "history": [{"created_by": "wayfare lab"}],
        },
        sort_keys=True,
    ).encode()
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = [{"Config": config_name, "RepoTags": [reference], "Layers": ["layer.tar"]}]
    with tarfile.open(path, "w") as archive:
        _add(archive, config_name, config)
        _add(archive, "layer.tar", layer.getvalue())
        _add(archive, "manifest.json", json.dumps(manifest).encode())


def read_archive(path: Path) -> Archive:
    """What a docker-archive or OCI archive holds, without reading its layers.

    :raises InvalidArchive: when it is neither, or holds more than one image.
    """
    try:
        with tarfile.open(path) as archive:
            names = {_plain(member.name): member for member in archive}
            if "manifest.json" in names:
                return _docker(path, json.loads(_content(archive, names["manifest.json"])))
            if "index.json" in names:
                return _oci(archive, names)
    except (tarfile.TarError, ValueError, KeyError, EOFError, gzip.BadGzipFile) as error:
        raise InvalidArchive(path, str(error) or type(error).__name__) from error
    raise InvalidArchive(path, "it has neither manifest.json nor index.json")


def find_archive(image: str, folder: Path) -> Path:
    """The archive that an argument means: a file, or a reference that was built.

    :param folder: where ``build/image/REFERENCE.tar`` is looked for ('/' and ':' as '_').
    :raises ImageNotFound: when there is none.
    """
    built = folder / "build/image" / (image.replace("/", "_").replace(":", "_") + ".tar")
    for candidate in (Path(image), built):
        if candidate.is_file():
            return candidate
    raise ImageNotFound(image, [Path(image), built])


def runtime_listens(pid: int) -> bool:
    """Whether the container runtime of the site whose process 1 is ``pid`` takes requests."""
    return (
        subprocess.run(enter(pid, ["ctr", "version"]), capture_output=True, check=False).returncode
        == 0
    )


def load(pid: int, path: Path) -> bool:
    """Load an archive into the site whose process 1 is ``pid``.

    :returns: False when the site has this very image under this name already.
    """
    archive = read_archive(path)
    present = _present(pid)
    if archive.references and all(
        present.get(normal(reference)) == present.get(archive.config_digest, "")
        for reference in archive.references
    ):
        return False
    with path.open("rb") as content:
        argv = enter(pid, [*_CTR, "import", "-"])
        done = subprocess.run(argv, stdin=content, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CommandFailed(argv, done.returncode, done.stderr + done.stdout)
    return True


def normal(reference: str) -> str:
    """A reference as containerd stores it: with a registry's host and a tag."""
    first, _, rest = reference.partition("/")
    if not rest:
        reference = f"docker.io/library/{reference}"
    elif not ("." in first or ":" in first or first == "localhost"):
        reference = f"docker.io/{reference}"
    return reference if ":" in reference.rpartition("/")[2] else f"{reference}:latest"


def _present(pid: int) -> dict[str, str]:
    """Names of the site's images → digests of their manifests. Ids are names as well."""
    argv = enter(pid, [*_CTR, "list"])
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CommandFailed(argv, done.returncode, done.stderr)
    rows = [line.split() for line in done.stdout.splitlines()[1:]]
    return {row[0]: row[2] for row in rows if len(row) > 2}


def _docker(path: Path, manifest: list[dict[str, Any]]) -> Archive:
    if len(manifest) != 1:
        raise InvalidArchive(path, f"it holds {len(manifest)} images, not one")
    name = str(manifest[0]["Config"]).rpartition("/")[2].removesuffix(".json")
    return Archive(tuple(manifest[0].get("RepoTags") or ()), f"sha256:{name}")


def _oci(archive: tarfile.TarFile, names: dict[str, tarfile.TarInfo]) -> Archive:
    index = json.loads(_content(archive, names["index.json"]))
    described = index["manifests"][0]
    blob = names["blobs/" + described["digest"].replace(":", "/")]
    manifest = json.loads(_content(archive, blob))
    annotations = described.get("annotations", {})
    reference = annotations.get("io.containerd.image.name") or annotations.get(
        "org.opencontainers.image.ref.name"
    )
    return Archive((reference,) if reference else (), manifest["config"]["digest"])


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    if file is None:
        raise ValueError(f"{member.name} is no file")
    content = file.read()
    return gzip.decompress(content) if content.startswith(_GZIP) else content


def _plain(name: str) -> str:
    return name.removeprefix("./")


def _add(archive: tarfile.TarFile, name: str, content: bytes, *, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    archive.addfile(entry, io.BytesIO(content))

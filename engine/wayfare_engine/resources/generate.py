"""Write what is generated from the models: `python -m wayfare_engine.resources.generate`.

Run at the top of the repository. `--check` writes nothing and fails when a file is stale.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

from .crd import crd
from .kinds import KINDS
from .pages import fill_page
from .phase_figure import phase_figure

HEADER = "# Generated from engine/wayfare_engine/resources by `make generate`. Do not edit.\n"


def crd_yaml(kind: str) -> str:
    """The file of one kind's CustomResourceDefinition."""
    return HEADER + yaml.safe_dump(crd(kind), sort_keys=False, width=100, allow_unicode=True)


def generated_files(top: Path) -> dict[Path, str]:
    """Every generated file under the repository's top, with what it should hold.

    The chart and the pages are filled only where they exist.
    """
    files: dict[Path, str] = {}
    for kind in KINDS.values():
        text = crd_yaml(kind.name)
        files[top / "crds" / f"{kind.plural}.yaml"] = text
        if (top / "helm" / "wayfare").is_dir():
            files[top / "helm" / "wayfare" / "files" / "crds" / f"{kind.plural}.yaml"] = text
        page = top / "docs" / "kinds" / f"{kind.singular}.md"
        if page.exists():
            files[page] = fill_page(page.read_text(encoding="utf-8"), kind)
    if (top / "docs").is_dir():
        files[top / "docs" / "recovery-phases.svg"] = phase_figure()
    return files


def stale_files(files: Mapping[Path, str]) -> list[Path]:
    """Those of the generated files that are missing or differ."""
    return [
        path
        for path, text in files.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]


def main(arguments: list[str] | None = None) -> int:
    """Write the stale files, or with --check only name them. Returns the exit code."""
    parser = argparse.ArgumentParser(description="Generate CRDs, the pages' tables and a figure.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when stale")
    parser.add_argument("--top", type=Path, default=Path.cwd(), help="the repository's top")
    options = parser.parse_args(arguments)
    files = generated_files(options.top)
    stale = stale_files(files)
    if options.check:
        for path in stale:
            print(f"stale: {path.relative_to(options.top)}: run `make generate`", file=sys.stderr)
        return 1 if stale else 0
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[path], encoding="utf-8")
        print(f"wrote {path.relative_to(options.top)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

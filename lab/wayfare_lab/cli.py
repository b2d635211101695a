"""`wayfare lab`: the commands."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, ParamSpec, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from wayfare_lab import binaries, images, remains, requirements
from wayfare_lab.console import building, errors, starting, stop
from wayfare_lab.errors import LabError, MissingRequirement
from wayfare_lab.identities import IN_SITE as PKI
from wayfare_lab.lab import Lab
from wayfare_lab.layout import MARKER, Site
from wayfare_lab.programs import BIN
from wayfare_lab.report import PlaceReport, report

_P = ParamSpec("_P")
_R = TypeVar("_R")

app = typer.Typer(
    name="lab",
    help="Two real Kubernetes sites on this Linux machine, and what can happen to them.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)
_out = Console(highlight=False, soft_wrap=True)

_EXIT_CODES = (
    "Exit codes: 0 done, 1 failed, 2 wrong name or argument, "
    "3 the machine lacks something, 4 another clone's lab is up."
)
SiteName = Annotated[str, typer.Argument(metavar="SITE", help="Name of a site, or `vault`.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _told(command: Callable[_P, _R]) -> Callable[_P, _R]:
    """Turn the lab's errors into a sentence and an exit code."""

    @wraps(command)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return command(*args, **kwargs)
        except LabError as error:
            stop(error)
        except PermissionError as error:
            stop(MissingRequirement([f"no permission for {error.filename}"], "Run it as root."))

    return wrapped


def _need_root() -> None:
    if os.geteuid() != 0:
        raise MissingRequirement(["it needs root"], "Run it as root (for example with sudo).")


@app.command(epilog=_EXIT_CODES)
@_told
def up(
    sites: Annotated[str, typer.Option(help="Names, separated by commas.")] = "east,west",
    as_json: AsJson = False,
) -> None:
    """Bring up sites, beside those that run already. Safe to repeat.

    The first time on a machine this builds the binaries, which takes minutes.

    Example: wayfare lab up --sites east
    """
    requirements.check()
    folder = _binaries()
    began = time.monotonic()
    wanted = [name.strip() for name in sites.split(",") if name.strip()]
    if not wanted:
        raise typer.BadParameter("name at least one site", param_hint="--sites")
    with starting() as say:
        made = Lab(say=say).up(wanted, folder)
    seconds = time.monotonic() - began
    if as_json:
        names = [site.name for site in made]
        typer.echo(json.dumps({"sites": names, "seconds": round(seconds, 2)}))
        return
    listed = " and ".join(site.name for site in made)
    _out.print(f"{listed} ready after {seconds:.1f} s.")
    _out.print(f"Try: KUBECONFIG={made[0].kubeconfig} {folder}/kubectl get nodes")


@app.command(epilog=_EXIT_CODES)
@_told
def down(
    keep_data: Annotated[
        bool, typer.Option("--keep-data", help="Leave the sites' disks for the next `up`.")
    ] = False,
) -> None:
    """Take the lab away, with all that was left of one. Safe to repeat.

    Example: wayfare lab down
    """
    _need_root()
    Lab().down(keep_data=keep_data)
    _out.print("The lab is down." + (" Its data is kept." if keep_data else ""))


@app.command(epilog=_EXIT_CODES)
@_told
def status(as_json: AsJson = False) -> None:
    """Show the sites, what state they are in, and how much memory they use.

    Example: wayfare lab status --json
    """
    _need_root()
    seen = report(Lab())
    if as_json:
        typer.echo(json.dumps(seen.document(), indent=2))
        return
    if not seen.clone:
        left = remains.found()
        _out.print("No lab is up." + (f" Left of one: {len(left)} things." if left else ""))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("place", "state", "address", "server", "processes", "memory", "restarts"):
        table.add_column(heading, no_wrap=True, min_width=len(heading))
    rows: dict[str, PlaceReport] = dict(seen.sites)
    if seen.vault:
        rows["vault"] = seen.vault
    for name, row in rows.items():
        shown = f"{row.state}, partitioned" if row.partitioned else row.state
        server = seen.servers.get(name, seen.s3_endpoint)
        table.add_row(
            name, shown, row.address, server, str(row.processes), _megabytes(row.memory_bytes),
            str(row.restarts),
        )  # fmt: skip
    _out.print(f"The lab of {seen.clone}, {_megabytes(seen.memory_bytes)} of memory in all")
    _out.print(table, width=120)
    _out.print(f"Keys of the object store: {seen.s3_credentials}")


@app.command(epilog=_EXIT_CODES)
@_told
def kubeconfig(
    site: SiteName,
    path: Annotated[bool, typer.Option("--path", help="Print the file's path instead.")] = False,
) -> None:
    """Print an administrator's kubeconfig of a site.

    Example: wayfare lab kubeconfig east > east.kubeconfig
    """
    _need_root()
    place = Lab().owner().site(site)
    typer.echo(place.kubeconfig if path else place.kubeconfig.read_text())


@app.command("exec", epilog=_EXIT_CODES, context_settings={"ignore_unknown_options": True})
@_told
def execute(
    site: SiteName,
    command: Annotated[list[str], typer.Argument(metavar="CMD", help="Program and arguments.")],
) -> None:
    """Run a program inside a site; kubectl and helm are on its PATH.

    Example: wayfare lab exec east -- kubectl get pods -A
    """
    _need_root()
    lab = Lab()
    argv = lab.command(site, command)
    path = f"{BIN}:{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    variables = os.environ | {MARKER: site, "PATH": path}
    if isinstance(lab.place(site), Site):
        variables["KUBECONFIG"] = f"{PKI}/admin.kubeconfig"
    os.execvpe(argv[0], argv, variables)  # noqa: S606


@app.command(epilog=_EXIT_CODES)
@_told
def partition(
    site: SiteName,
    from_sites: Annotated[
        bool,
        typer.Option(
            "--from-sites", help="Cut the sites off from each other only; all reach the vault."
        ),
    ] = False,
) -> None:
    """Cut a site off from all others and the vault. This host still reaches it.

    Example: wayfare lab partition west
    """
    _need_root()
    if from_sites:
        Lab().place(site)
        Lab().part_sites()
        _out.print(
            f"The sites do not reach each other. `wayfare lab heal {site}` joins them again."
        )
        return
    Lab().partition(site)
    _out.print(f"{site} is cut off. `wayfare lab heal {site}` joins it again.")


@app.command(epilog=_EXIT_CODES)
@_told
def pin(
    site: SiteName,
    cpus: Annotated[str, typer.Argument(help="Such as 0, or 0-1 for all of two.")],
) -> None:
    """Keep a site on some processors, so that two sites disturb each other less.

    Example: wayfare lab pin west 1
    """
    _need_root()
    Lab().pin(site, cpus)
    _out.print(f"{site} runs on processors {cpus}, until it is lost or pinned anew.")


@app.command(epilog=_EXIT_CODES)
@_told
def heal(site: SiteName) -> None:
    """Join a site that was cut off, and the sites to each other.

    Example: wayfare lab heal west
    """
    _need_root()
    Lab().heal(site)
    _out.print(f"{site} is joined.")


@app.command(epilog=_EXIT_CODES)
@_told
def kill(site: SiteName, as_json: AsJson = False) -> None:
    """Lose a site: SIGKILL for everything in it, at once. Its disk stays.

    Example: wayfare lab kill east
    """
    _need_root()
    at = Lab().kill(site)
    if as_json:
        typer.echo(json.dumps({"site": site, "killedAt": at.isoformat()}))
        return
    _out.print(
        f"{site} is gone since {at:%H:%M:%S} UTC. "
        f"`wayfare lab restore {site}` starts it from its disk."
    )


@app.command(epilog=_EXIT_CODES)
@_told
def restore(site: SiteName) -> None:
    """Start a site that was lost, from its disk.

    Example: wayfare lab restore east
    """
    _need_root()
    folder = _binaries()
    began = time.monotonic()
    with starting() as say:
        Lab(say=say).restore(site, folder)
    _out.print(f"{site} ready after {time.monotonic() - began:.1f} s.")


@app.command("load-image", epilog=_EXIT_CODES)
@_told
def load_image(
    image: Annotated[
        str, typer.Argument(metavar="ARCHIVE|REFERENCE", help="A tar file, or a built image.")
    ],
    site: Annotated[
        list[str] | None, typer.Option(help="A site; may be repeated. Default: all that run.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Load a container image into sites, unless they have it.

    A reference means the archive in `build/image/`, with '_' for '/' and ':'.

    Example: wayfare lab load-image localhost/wayfare:dev --site east
    """
    _need_root()
    archive = images.find_archive(image, Path.cwd())
    began = time.monotonic()
    done = Lab().load_image(archive, site or [])
    if as_json:
        typer.echo(json.dumps(done))
        return
    for name, loaded in done.items():
        _out.print(f"{name}: {'loaded' if loaded else 'has it already'}")
    _out.print(f"{time.monotonic() - began:.1f} s")


@app.command(epilog=_EXIT_CODES)
@_told
def build() -> None:
    """Build the binaries (Kubernetes, etcd, CoreDNS, kubectl, Helm), unless they are built.

    Example: wayfare lab build
    """
    typer.echo(_binaries())


@app.command(epilog=_EXIT_CODES)
@_told
def tools() -> None:
    """Print the folder of kubectl and helm, building them when need be.

    Example: PATH="$(wayfare lab tools):$PATH"
    """
    typer.echo(_binaries())


def _binaries() -> Path:
    began = time.monotonic()
    found = binaries.find()
    if found:
        return found
    with building() as progress:
        folder = binaries.ensure(progress)
    errors.print(f"binaries built in {time.monotonic() - began:.0f} s")
    return folder


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.0f} MB"

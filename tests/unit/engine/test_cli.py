"""The command line: help, version, exit codes, groups that cannot be loaded."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint, version

import pytest

from wayfare_engine.cli import application as cli

OWN = ["serve", "worker", "migrate", "dev", "store", "keys", "import"]


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in OWN)


def test_the_version_is_the_distributions(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"wayfare {version('wayfare')}"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nonsense"], 2, "No such command"),
        (["serve", "--port", "x"], 2, "--port"),
        (["serve"], 3, "WAYFARE_POSTGRESQL_DSN: is not set"),
        (["import", "customers", "no-such-file"], 2, "there is no file"),
        (["import", "customers", __file__, "--type", "a=b"], 2, "COLUMN=TYPE"),
        (["keys", "create", "--expires", "soon"], 2, "such as 24h"),
    ],
)
def test_errors_are_sentences_with_an_exit_code(
    arguments: list[str],
    code: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("WAYFARE_POSTGRESQL_DSN", raising=False)

    assert cli.run(arguments) == code

    shown = capsys.readouterr().err
    assert said in shown.replace("\n", " ")
    assert "Traceback" not in shown


def test_a_group_that_cannot_be_loaded_leaves_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = EntryPoint("broken", "no_such_package:app", cli.GROUP)
    monkeypatch.setattr(cli, "entry_points", lambda group: [broken])

    assert cli.run(["--help"]) == 0
    assert cli.run(["broken", "up"]) == 3
    assert "wayfare broken is not available here" in capsys.readouterr().err


def test_a_light_command_loads_nothing_heavy() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, wayfare_engine.cli.application as m; "
            "m.make_app(['keys', 'list']); "
            "print([x for x in ('numpy', 'fastapi', 'kubernetes', 'pyarrow') if x in sys.modules])",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"

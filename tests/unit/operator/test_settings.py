"""What the operator says of settings that cannot work, before it does anything."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from wayfare_operator.cli import app


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (
            "LEASE_DURATION",
            "5",
            "WAYFARE_RENEW_DEADLINE: Value error, 8 s is not below WAYFARE_LEASE",
        ),
        (
            "LEASE_DURATION",
            "0",
            "WAYFARE_LEASE_DURATION: Input should be greater",
        ),
        ("RENEW_DEADLINE", "12", "12 s is not below WAYFARE_LEASE_DURATION (12 s)"),
        ("RENEW_DEADLINE", "nan", "WAYFARE_RENEW_DEADLINE: Input should be"),
        ("RETRY_PERIOD", "0", "WAYFARE_RETRY_PERIOD: Input should be greater"),
        ("RETRY_PERIOD", "7", "7 s leaves no second try within WAYFARE_RENEW_DEADLINE (8 s)"),
    ],
)
def test_a_lease_that_cannot_be_held_is_named_with_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(f"WAYFARE_{name}", value)
    done = CliRunner().invoke(app, ["run"])
    assert done.exit_code == 2, done.output
    assert said in done.output
    assert "Traceback" not in done.output

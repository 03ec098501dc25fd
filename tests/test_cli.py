"""The command line as a whole: every command is there, explains itself, and ends in peace."""

import pytest
from click.testing import CliRunner

from fastmd.cli import COMMANDS, main


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], *([c, "--help"] for c in COMMANDS)], ids=" ".join)
def test_help_ends_with_0_and_says_something(arguments):
    run = CliRunner().invoke(main, arguments)
    assert run.exit_code == 0 and len(run.output) > 10 and "Error:" not in run.output
    if arguments[-1] == "--help":
        assert "Usage:" in run.output


def test_the_overview_names_every_command():
    text = CliRunner().invoke(main, ["--help"]).output
    assert all(f"  fastmd {c} " in text for c in COMMANDS)


def test_an_unknown_command_is_refused():
    run = CliRunner().invoke(main, ["tarin"])
    assert run.exit_code == 2 and "No such command" in run.output

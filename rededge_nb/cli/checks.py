"""Commands about the installation: doctor, completion."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from rededge_nb.cli.base import EXIT_FAILED, directory_option, echo, echo_json, examples, json_option

COMPLETE_VARIABLE = "_REDEDGE_COMPLETE"


@click.command(
    epilog=examples(
        "rededge doctor",
        "rededge doctor --json | jq '.[] | select(.state != \"ok\")'",
    ),
)
@directory_option
@json_option
def doctor(directory: Path | None, as_json: bool) -> None:
    """Check everything that RedisEdge needs, and say how to install what is missing. Exit code 1: a check failed."""
    from rededge_nb.monitoring.doctor import as_lines, examine

    findings = []
    for finding in examine(directory):
        findings.append(finding)
        if not as_json:
            echo("\n".join(as_lines(finding)))
    if as_json:
        echo_json([asdict(finding) for finding in findings])
    if any(finding.state == "fail" for finding in findings):
        sys.exit(EXIT_FAILED)


@click.command(
    epilog=examples(
        'eval "$(rededge completion bash)"                      in ~/.bashrc',
        'eval "$(rededge completion zsh)"                       in ~/.zshrc',
        "rededge completion fish > ~/.config/fish/completions/rededge.fish",
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a script that lets a shell complete commands and options."""
    found = get_completion_class(shell)
    assert found is not None  # noqa: S101 - click has these three
    main = click.get_current_context().find_root().command
    click.echo(found(main, {}, "rededge", COMPLETE_VARIABLE).source())

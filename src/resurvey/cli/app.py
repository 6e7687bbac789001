"""What every command shares: the app, its options, one way to open a workspace, to print and to end.

Knows nothing about any one command.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from resurvey import __version__
from resurvey.cli.faults import message_for, still_there, told_about
from resurvey.errors import STOPPED, StoppedError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from resurvey.session import Session

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Redraw an embedding model's map for your documents, and prove the new map is better.",
)

Dir = Annotated[Path, typer.Argument(metavar="DIR", help="The workspace.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Effort = Annotated[
    str,
    typer.Option(
        "--effort",
        metavar="small|medium|large",
        help="How much to spend: small trains no model, medium the encoder, large that again and a reranker, too.",
    ),
]
EFFORTS = ("small", "medium", "large")
USUAL = "medium"


def main() -> NoReturn:
    """Run the command line; the one place where exceptions become messages and exit codes."""
    os.environ.setdefault("LANCEDB_LOG", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    try:
        app()
        sys.exit(0)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except BaseException as error:
        told = message_for(error)
        if told is None:
            raise
        typer.echo(f"resurvey: {told}", err=True)
        sys.exit(told.exit_code)


@contextlib.contextmanager
def session_of(root: Path, *, quiet: bool, writes: bool) -> Iterator[Session]:
    """Open a workspace with a progress bar on stderr, holding its lease when the command writes."""
    from resurvey.session import Session
    from resurvey.show.progress import Bars
    from resurvey.workspace import MARK, Workspace

    workspace = Workspace.open(root)
    with (
        stoppable(),
        told_about(root),
        still_there(root, MARK),
        workspace.lease() if writes else contextlib.nullcontext(),
        Bars(quiet) as bars,
    ):
        yield Session(workspace, bars)


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Say what Ctrl-C left behind, before the command-line library turns it into a bare exit."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise StoppedError(STOPPED) from error


def show(as_json: bool, value: Any, *shown: RenderableType) -> None:
    """Print the result: as JSON, or the parts made for people."""
    if as_json:
        typer.echo(json.dumps(value, ensure_ascii=False, indent=2))
        return
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=False, markup=False)  # a title may hold [brackets]
    for part in shown:
        console.print(part, soft_wrap=isinstance(part, str))  # a broken path cannot be copied


def checked_effort(value: str) -> str:
    """The effort, or a usage error."""
    if value not in EFFORTS:
        raise typer.BadParameter(f"{value!r} must be one of {', '.join(EFFORTS)}")
    return value


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit

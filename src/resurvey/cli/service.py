"""Commands of the service: serve, and the keys to it."""

from __future__ import annotations

from typing import Annotated

import typer

from resurvey.cli.app import AsJson, Dir, app, show, stoppable


@app.command()
def serve(
    root: Dir,
    host: Annotated[str, typer.Option(help="Address to listen at; others than the loopback need a key.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8080,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that answer.")] = 1,
) -> None:
    """Answer over HTTP with what is live, until told to stop; what goes live meanwhile takes over."""
    from resurvey.serve.start import Place
    from resurvey.serve.start import serve as run
    from resurvey.workspace import Workspace

    workspace = Workspace.open(root)
    with stoppable():
        run(
            workspace,
            Place(host, port, workers),
            lambda address: typer.echo(f"{address}  (/ready says when it answers)"),
        )


@app.command()
def keys(
    root: Dir,
    action: Annotated[str, typer.Argument(metavar="add|list|revoke")],
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="Whose key it is.")] = "",
    scope: Annotated[str, typer.Option(metavar="search,write,admin", help="What a new key may do.")] = "search",
    as_json: AsJson = False,
) -> None:
    """Make, list or revoke keys to the service; a key is shown once, and only its hash is kept."""
    from resurvey.serve import keys as keyring
    from resurvey.workspace import Workspace

    if action not in ("add", "list", "revoke"):
        raise typer.BadParameter(f"{action!r} must be add, list or revoke")
    if (action == "list") == bool(name):
        raise typer.BadParameter(f"{action} {'takes no' if name else 'needs a'} NAME")
    workspace = Workspace.open(root)
    if action == "add":
        token = keyring.add(workspace, name, [part.strip() for part in scope.split(",") if part.strip()])
        show(
            as_json,
            {"name": name, "key": token},
            token,
            f"This is shown once. Send it as: Authorization: Bearer {token}",
        )
    elif action == "revoke":
        keyring.revoke(workspace, name)
        show(as_json, {"revoked": name}, f"{name} is revoked; a running service refuses it from now on.")
    else:
        found = keyring.read(workspace)
        rows = [{"name": key.name, "scopes": list(key.scopes), "made": key.made} for key in found]
        lines = "\n".join(f"{key.name}: {', '.join(key.scopes)}, made {key.made}" for key in found)
        show(as_json, rows, lines or "There is no key: the service answers anybody on this machine, and nobody else.")

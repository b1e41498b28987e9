"""`pcip browse`: a page on which to look at the cells of a screen, label them and train a classifier."""

import contextlib
import getpass
import signal
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import click

from pcip_assets.cli.allow_host import allow_host
from pcip_assets.web import HOST
from pcip_assets.workspace import BROWSE_PORT, Workspace

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from pcip_core.browse.session import Session


@click.command("browse")
@click.argument("screen")
@click.option("--labels", default="manual", show_default=True, metavar="NAME",
              help="Labels to continue with, the table labels_NAME.")  # fmt: skip
@click.option("--as", "user", metavar="USER", help="Who labels; default: the name of your account.")
@click.option("--port", default=BROWSE_PORT, show_default=True, help="Port of the page.")
@allow_host
def command(screen: str, labels: str, user: str | None, port: int, allowed_hosts: Sequence[str]) -> None:
    """Serve a page on 127.0.0.1 on which you look at the cells of SCREEN, until you press Ctrl-C.

    Draw around cells on a map, look at them, label them, and train a classifier on your labels, which ranks the others.
    Labels are the table labels_NAME of the screen in SQL, and what the classifier says predictions_NAME.
    """
    from pcip_assets.web.serving import require_free, serve_app

    require_free(port, "--port")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # what is left to publish is published then
        signal.signal(number, signal.default_int_handler)
    with (
        contextlib.suppress(KeyboardInterrupt),
        opened(Workspace.current(), screen, labels=labels, user=user, allowed_hosts=allowed_hosts) as app,
    ):
        click.secho(f"http://{HOST}:{port}   (Ctrl-C stops the page)", bold=True)
        serve_app(app, port)


@contextlib.contextmanager
def opened(
    workspace: Workspace,
    screen: str,
    *,
    labels: str = "manual",
    user: str | None = None,
    allowed_hosts: Sequence[str] = (),
) -> Iterator["ASGIApp"]:
    """The application for a screen. At its end, labels are published and reported to Dagster.

    Raises:
        PcipError: the screen is unknown or has no features yet, or an argument is not valid.
    """
    from pcip_assets.browse.actions import Actions
    from pcip_assets.browse.application import application
    from pcip_assets.browse.figure import map_figure
    from pcip_assets.browse.publishing import Publisher, report_in_process
    from pcip_assets.provenance import git_commit
    from pcip_core.browse.labels import label_sets
    from pcip_core.browse.session import Session
    from pcip_core.store.partitions import Store
    from pcip_core.store.publish import publish

    threading.Thread(target=map_figure, daemon=True).start()  # imports Bokeh while the cells are read
    path = workspace.spec_path(screen)
    loaded = workspace.load(path)  # `find` would record it, which needs permission to write
    workspace.check_unique(loaded.name, path)
    store = Store(workspace.store)
    publisher = Publisher(
        partial(publish, store, workspace.published),
        partial(report_in_process, workspace.data, loaded.name),
    )
    try:
        session = Session(
            store,
            loaded,
            published=workspace.published,
            cache=workspace.data / "browse" / loaded.name,
            user=user or getpass.getuser(),
            code=git_commit(),
            labels=labels,
            changed=publisher.changed,
        )
        threading.Thread(target=_first_map, args=[session], daemon=True).start()
        if label_sets(session.cells):
            publisher.refresh()
        yield application(Actions(session, publisher), allowed_hosts=allowed_hosts)
    finally:
        if publisher.is_behind:
            click.echo("publishing the labels, and recording them in Dagster", err=True)
        publisher.close()
        if problem := publisher.state()["problem"]:
            click.secho(str(problem), fg="yellow", err=True)


def _first_map(session: "Session") -> None:
    """Read the map that the page shows first, while the browser starts; the page reports what goes wrong."""
    from pcip_core.errors import PcipError

    with contextlib.suppress(PcipError, OSError):
        session.map(next(iter(session.names)))

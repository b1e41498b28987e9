"""The command `pcip init` and its options."""

import sys
from pathlib import Path
from typing import Any

import click

from pcip_assets.cli.init.propose import Answers, proposal_options, propose_spec
from pcip_assets.workspace import Workspace


@click.command("init")
@click.argument("folder", type=click.Path(path_type=Path))
@proposal_options
def command(folder: Path, **options: Any) -> None:
    """Propose a spec for the images in FOLDER, and write it into data/screens/.

    pcip looks at the names of the files, their headers and tables, and recognizes the layout, the parts of the names,
    the channels, the size of a pixel and of the cells. It asks what it cannot know; without a terminal, or with --yes,
    the options answer. Then it checks the spec and draws the contact sheet.
    """
    if not propose_spec(Workspace.current(), folder, Answers(**options)):
        sys.exit(1)

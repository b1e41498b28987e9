"""`pcip init`: `command` is the command, `workspace` makes a workspace, `propose` proposes a spec for images."""

from pcip_assets.cli.init.command import command

__all__ = ["command"]

"""`pcip init`: `command` is the command, `workspace` makes the folder and copies templates."""

from pcip_assets.cli.init.command import command

__all__ = ["command"]

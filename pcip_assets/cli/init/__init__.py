"""`pcip init`: `command` is the command, `propose` proposes a spec for a folder of images."""

from pcip_assets.cli.init.command import command

__all__ = ["command"]

"""`pcip check`: `command` is the command, `check` what it looks at, `sections` the parts of its
report, `report` prints them."""

from pcip_assets.cli.check.command import command
from pcip_assets.cli.check.report import print_check

__all__ = ["command", "print_check"]

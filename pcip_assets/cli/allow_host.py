"""The option `--allow-host` of the commands that serve pages."""

import click

from pcip_assets.web import ALLOW

allow_host = click.option(
    "--allow-host",
    "allowed_hosts",
    multiple=True,
    metavar="NAME",
    envvar=ALLOW,
    help="Also answer under this name, of a proxy before the pages; may be repeated. The default is PCIP_ALLOW_HOST.",
)

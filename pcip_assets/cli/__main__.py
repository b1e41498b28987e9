"""`python -m pcip_assets.cli`: the command line without the installed script."""

from pcip_assets.cli.main import main

main()

"""`pcip bench`: `run` runs the benchmarks, `summary` writes their figures into the documentation."""

from pcip_assets.cli.bench.run import command

__all__ = ["command"]

"""The pages that pcip serves: a check before each of them, and the processes that serve them."""

HOST = "127.0.0.1"
"""Where pcip listens."""
ALLOW = "PCIP_ALLOW_HOST"
"""Environment variable with more names under which the pages may be opened, separated by spaces."""
REPORTS, MLFLOW, DAGSTER = "/pcip/reports", "/pcip/mlflow", "/pcip/dagster"
"""Paths on the servers of `pcip ui`: pages and pictures, and links from one server to the other (see `links`)."""
READ_ONLY = "--read-only"  # option of `pcip ui`, and of the programs that it starts

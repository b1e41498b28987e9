"""The pages that pcip serves: a check before each of them, and the processes that serve them."""

HOST = "127.0.0.1"
"""Where pcip listens."""
ALLOW = "PCIP_ALLOW_HOST"
"""Environment variable with more names under which the pages may be opened, separated by spaces."""

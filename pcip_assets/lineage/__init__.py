"""The version of each asset, computed from the code that decides its result."""

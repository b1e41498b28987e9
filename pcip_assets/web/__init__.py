"""The pages that pcip serves: a check before each of them, and the processes that serve them."""

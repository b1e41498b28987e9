"""The assets of a screen, a file a noun: read, call core, write, describe. No science, no SQL."""

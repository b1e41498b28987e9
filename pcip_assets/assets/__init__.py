"""The assets of a screen, one file per noun: read, call core, write, describe. No science, no SQL."""

"""Every setting of a screen: plain dataclasses and the reader of the YAML spec. Imports nothing above it."""

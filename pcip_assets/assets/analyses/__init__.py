"""Biological analyses of features: clusters of proteins, their enriched terms, variation between cells."""

"""Hierarchical clustering of proteins or cells: trees, and the clusters that result from cutting them."""

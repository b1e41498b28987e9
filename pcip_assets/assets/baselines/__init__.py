"""Baselines: feature sets for comparison with the learned ones, computed shard by shard."""

"""Feature sets that learned ones are measured against, made shard by shard."""

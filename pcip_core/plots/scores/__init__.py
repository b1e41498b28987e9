"""Pictures of benchmark scores."""

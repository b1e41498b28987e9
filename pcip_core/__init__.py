"""pcip as a plain library: arrays, tensors and frames in, results out; no Dagster, no MLflow."""

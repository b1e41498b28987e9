"""pcip as a platform: thin Dagster assets over `pcip_core`, MLflow tracking, the command line."""

import os

# Importing mlflow, whichever module does it first, would otherwise send usage data to its developers.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# Its messages about databases and graphics cards would stand among those of `pcip run`.
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")

"""pcip as a platform: thin Dagster assets over `pcip_core`, MLflow tracking, the command line."""

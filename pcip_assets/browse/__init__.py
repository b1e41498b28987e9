"""The page of `pcip browse`: its application, its files in `static/`, and how its tables reach SQL and Dagster."""

"""The servers of a team: where databases and MLflow's files are, how they are reached, and who prepares them."""

"""What each start of pcip makes sure of: whole databases, and no run that waits for a process that is gone."""

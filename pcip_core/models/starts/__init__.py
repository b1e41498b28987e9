"""Source encoders that come with the package, from which a training can start: weights learned from simulated cells."""

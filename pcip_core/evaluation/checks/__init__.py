"""Whether scores are right: batch effects, and the order of feature sets in the paper."""

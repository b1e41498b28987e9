"""What units of feature sets respond to: the asset, and what `pcip units` shows of any unit or direction."""

"""What each network is trained to do: inpaint, reconstruct, classify."""

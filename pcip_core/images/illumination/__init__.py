"""Correction of uneven illumination: where its profiles come from, and how they are applied to planes.

`profile` holds the arithmetic; `harmony`, `given` and `estimated` each make profiles; `correction` selects them by the
spec and reads corrected fields.
"""

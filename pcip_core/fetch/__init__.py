"""Screens from other sites: resumable, verified, rate-limited downloads, and checks of manual downloads."""

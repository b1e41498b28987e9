"""Screens from elsewhere: resumable, verified, polite downloads, and checks of hand-fetched archives."""

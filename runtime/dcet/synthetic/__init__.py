"""Synthetic voices, faces and noise, of no real person. It may import `dcet.runtime`."""

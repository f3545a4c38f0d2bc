"""Made voices, faces and noise, which are nobody's. It may import `dcet.runtime`."""

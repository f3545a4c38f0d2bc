"""Detectors of faces, one a file, and which of them is the best that is here."""

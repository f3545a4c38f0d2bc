"""Corrupt text, speech and faces at random, as a device would."""

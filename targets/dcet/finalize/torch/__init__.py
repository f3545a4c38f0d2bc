"""Builders of the torch engines, which dcet-finalize runs on the device.

Each graph of a bundle becomes a torch program, is exported for each of its sizes and compiled ahead
of time.
"""

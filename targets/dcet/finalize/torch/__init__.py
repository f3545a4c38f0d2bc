"""Builders of the torch rungs, which dcet-finalize runs on the device: cpu, cuda and tensorrt.

Each graph of a bundle becomes a torch program, is exported for each of its sizes and compiled ahead
of time.
"""

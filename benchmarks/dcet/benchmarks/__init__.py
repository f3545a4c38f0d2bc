"""Measures what a bundle promises: latency, growth, cold start, accuracy."""

"""The comparison with three large encoders: measure and table."""

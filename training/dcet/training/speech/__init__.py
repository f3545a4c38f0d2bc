"""Training of the speech detector: what it hears, what its teacher says, how it is judged."""

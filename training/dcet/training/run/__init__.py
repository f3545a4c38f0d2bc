"""Training runs: the loop, the folder, resumption."""

"""Words from sound alone, in a process of its own."""

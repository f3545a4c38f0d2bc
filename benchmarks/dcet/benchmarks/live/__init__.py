"""Whether a bundle holds live: streams in, estimates out on time, for every person, for hours."""

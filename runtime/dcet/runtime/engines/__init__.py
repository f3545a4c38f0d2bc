"""Run a bundle's graphs. Each engine is imported only when a bundle asks for it."""

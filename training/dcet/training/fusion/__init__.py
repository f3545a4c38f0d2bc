"""Train the fusion on constructed conversations of text, speech and faces."""

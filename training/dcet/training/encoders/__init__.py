"""Train one encoder, from labels or from teachers."""

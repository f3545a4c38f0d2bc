"""The robustness report: measure, table and page."""

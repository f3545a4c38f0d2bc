"""The latency report: measure, table and page."""

"""The prediction for a device: measure, table and page."""

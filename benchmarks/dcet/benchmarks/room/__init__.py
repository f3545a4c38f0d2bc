"""The room report: whether estimates hold on recordings that nobody acted."""

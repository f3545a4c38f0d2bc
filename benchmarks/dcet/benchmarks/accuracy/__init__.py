"""The accuracy report: labelled dialogues, and whether confidence tells right from wrong."""

"""Turn text, sound and pictures into what the step takes, and measure how good they are."""

"""What the DCET commands share: options, exit codes, output. It imports click and rich."""

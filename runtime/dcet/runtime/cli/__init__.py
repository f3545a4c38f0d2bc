"""Options, exit codes and output of the DCET commands. It imports click and rich."""

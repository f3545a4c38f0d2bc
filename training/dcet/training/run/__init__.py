"""What every training run shares: its folder, schedule, averaged weights and resumption."""

"""What each part of the memory is worth, on labelled conversations."""

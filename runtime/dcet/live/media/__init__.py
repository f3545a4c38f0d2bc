"""Files and devices that sound and pictures come from, or go to."""

"""From blocks of sound to turns."""

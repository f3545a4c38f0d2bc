"""What is answered of a turn, when, and with what left out."""

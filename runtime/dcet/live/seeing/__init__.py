"""From frames to the faces of people."""

"""Who is in the room, and who of them speaks."""

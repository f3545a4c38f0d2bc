"""Follow live streams of sound, pictures and text: events of emotion for every person, on time."""

"""Prepare text, audio and faces, measure their quality, and run the encoders on them."""

"""The engine that needs nothing: music from code."""

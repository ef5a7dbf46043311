"""Assessment of frames as they come, from a camera, a stream or a file."""

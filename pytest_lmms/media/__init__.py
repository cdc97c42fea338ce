"""Bytes to arrays: images, sounds and videos. Knows no task and no model."""

"""YAML to requests. Never opens media, never knows a model."""

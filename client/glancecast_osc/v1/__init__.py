"""The commands, for version 1 of the API."""

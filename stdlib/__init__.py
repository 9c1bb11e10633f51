"""The standard tools, one .ebt script each, by subject."""

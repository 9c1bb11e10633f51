"""The face of ebt: the command line and what Python programs import."""

"""Kernel name and command → that command's exit status on that kernel, emulated: what scripts/lab runs.

Standard library only: it runs with the system's python3, before anything of the project is installed.
"""

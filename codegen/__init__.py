"""Checked script → plan → C text for BCC: pure."""

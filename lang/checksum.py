"""Bytes → blake2b, without what `hashlib` brings along: OpenSSL takes 3 ms of each start, and 5 MiB."""

from __future__ import annotations

try:
    from _blake2 import blake2b
except ImportError:  # another Python than CPython
    from hashlib import blake2b

__all__ = ["blake2b"]

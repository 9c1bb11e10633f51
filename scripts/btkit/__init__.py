"""The scripts that Debian's bpftrace installs, each under its own load: do they print rows?"""

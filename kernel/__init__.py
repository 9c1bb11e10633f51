"""What a kernel offers: the only reader of /sys, /proc and BTF, live or recorded."""

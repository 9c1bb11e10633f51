"""`python -m btkit`: see cli.py."""

import sys

from btkit.cli import main

sys.exit(main(sys.argv[1:]))

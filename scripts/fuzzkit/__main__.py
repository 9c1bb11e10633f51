"""`python -m fuzzkit`: see cli.py."""

import sys

from fuzzkit.cli import main

sys.exit(main(sys.argv[1:]))

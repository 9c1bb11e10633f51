"""`python -m ebt` → the command line."""

import sys

from ebt.cli import main

sys.exit(main())

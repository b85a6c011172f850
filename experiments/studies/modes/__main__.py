"""The mode lab as a command."""

import sys

from .lab import main

sys.exit(main())

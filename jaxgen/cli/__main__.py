"""The same command as `python -m jaxgen`."""

import sys

from jaxgen.cli.main import main

if __name__ == "__main__":
    sys.exit(main())

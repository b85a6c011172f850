"""The recipes as a command: `python -m experiments NAME` is `jaxgen train NAME`."""

import sys

from jaxgen.__main__ import train

if __name__ == "__main__":
    sys.exit(train())

"""The command line, as `jaxgen` and as `python -m jaxgen`."""

import sys

from jaxgen.loop import signals


def main() -> int:
    """Run the command line; a signal that comes while its modules are imported is heard too."""
    signals.leave_at_once()
    from jaxgen.cli.main import main

    return main()


def train() -> int:
    """Run `jaxgen train` with the words that follow a file of recipes on the command line."""
    sys.argv.insert(1, "train")
    return main()


if __name__ == "__main__":
    sys.exit(main())

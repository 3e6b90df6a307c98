"""The `ramify` command until ramify is imported, which takes longer than anything before: hence not in the package.

Ctrl-C ends it meanwhile as it does later, with status 130 and no traceback.
"""

import sys


def main() -> None:
    """Import the commands and run one."""
    try:
        from ramify.cli import main

        main()
    except KeyboardInterrupt:
        sys.exit(130)

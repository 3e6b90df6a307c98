"""`python -m ramify.cli`, for where the `ramify` script is not on the PATH."""

from ramify.cli import main

main()

"""`python -m dgmmis`."""

from dgmmis.cli import main

main()

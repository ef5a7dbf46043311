"""`python -m infantjax.cli`: the program without its installed script."""

from infantjax.cli import main

main()

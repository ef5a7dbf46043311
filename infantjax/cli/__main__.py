"""`python -m infantjax.cli`: the program without its installed script."""

from infantjax.cli import main

if __name__ == "__main__":
    main()

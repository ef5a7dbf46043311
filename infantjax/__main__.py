"""`python -m infantjax`: the commands, where the program `infantjax` is not on the path."""

from infantjax.cli import main

if __name__ == "__main__":
    main()

"""`python -m squareoff` is the command `squareoff`, for where its script is not on the path."""

from squareoff.cli.main import main

if __name__ == "__main__":
    main()

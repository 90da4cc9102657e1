"""`python -m autoclave` is the same as `autoclave`."""

from autoclave.cli.main import main

if __name__ == "__main__":
    main()

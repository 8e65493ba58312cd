"""``python -m deepwright`` is the command line."""

from deepwright.cli.main import main

if __name__ == "__main__":
    main()

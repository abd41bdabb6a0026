"""`python -m service` is `palimpsest`."""

from service.cli import main

if __name__ == "__main__":
    main()

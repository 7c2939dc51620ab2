"""`python -m bicorn`."""

from bicorn.main import main

if __name__ == "__main__":
    main()

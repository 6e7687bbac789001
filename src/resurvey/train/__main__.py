"""`python -m resurvey.train FOLDER MODEL`, as torchrun starts it."""

import sys

from resurvey.train.launch import main

if __name__ == "__main__":
    main(sys.argv[1:])

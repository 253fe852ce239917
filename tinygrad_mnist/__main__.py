"""`python -m tinygrad_mnist` is the command `tinygrad-mnist`."""

from tinygrad_mnist.cli import main

if __name__ == "__main__":
    main()

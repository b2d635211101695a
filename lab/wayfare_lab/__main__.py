"""``python -m wayfare_lab``: the lab's commands without the rest of the product."""

from wayfare_lab.cli import app

if __name__ == "__main__":
    app(prog_name="wayfare lab")

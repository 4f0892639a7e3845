"""python -m comics_genai.pretrain ...: the same as python -m comics_genai pretrain ..."""

import sys

from comics_genai.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["pretrain", *sys.argv[1:]]))

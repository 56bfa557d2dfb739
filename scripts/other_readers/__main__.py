"""``python -m other_readers``: the command ``scripts/readers``."""

import sys

from other_readers.reading import main

sys.exit(main())

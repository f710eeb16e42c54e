"""``python -m serxai.benchmark.cli``."""

import sys

from .main import main

sys.exit(main())

"""Hand-written generated modules on the path, as a user would import them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "models"))

"""Tests of the page in a real browser. Only `make test-browser` collects them, since it installs what they need.

They are not skipped elsewhere but left out; asked for and not possible, they fail and say what is missing.
"""

import os

WANTED = "GATEWAY_TEST_BROWSER"

collect_ignore_glob = [] if os.environ.get(WANTED) else ["test_*.py"]

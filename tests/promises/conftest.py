"""The measured promises (promises.md, column CI). They take minutes: only `make test-promises` collects them."""

import os

WANTED = "GATEWAY_TEST_PROMISES"

collect_ignore_glob = [] if os.environ.get(WANTED) else ["test_*.py"]

"""`python -m benchmarks.faults.faked_clock ARGUMENTS`: pcip with the clock of libfaketime, for this process alone.

libfaketime 0.9.10 mistakes the time until which Python sleeps for one of the faked clock. Here Python waits
instead, and the processes that this one starts, such as Dagster's watchers, keep the true clock.
"""

from __future__ import annotations

import os
import threading
import time

if __name__ == "__main__":
    os.environ.pop("LD_PRELOAD", None)
    time.sleep = lambda seconds: threading.Event().wait(seconds) and None
    from pcip_assets.cli.main import main

    main()

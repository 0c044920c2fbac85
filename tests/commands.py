"""The command line, as a process of its own or in this one.

A process begins with seconds of imports.  Each verb but `import` runs as one at least once, in `test_command_line`,
`test_planning`, `test_comparison_folder` or `test_model_formats`; what more there is to say of it is said
here, by the same `main`.
"""

from __future__ import annotations

import io
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from unittest.mock import patch

from dgmmis.cli import main

Done = subprocess.CompletedProcess[str]


def run_process(*arguments: object, code: int = 0) -> Done:
    """Run `dgmmis ...` as a real process."""
    command = [sys.executable, "-m", "dgmmis", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110)
    assert done.returncode == code, done.stderr
    return done


def run_here(*arguments: object, code: int = 0) -> Done:
    """Run `dgmmis ...` in this process, up to the code it would end with."""
    command, out, err = ["dgmmis", *map(str, arguments)], io.StringIO(), io.StringIO()
    ended: object = 0
    with patch.object(sys, "argv", command), redirect_stdout(out), redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            ended = end.code
    assert (ended or 0) == code, err.getvalue()
    return subprocess.CompletedProcess(command, code, out.getvalue(), err.getvalue())

#!/usr/bin/env python3
"""Checks docs/contract.md line by line on the built program, which it sees only from outside.

    contract_test.py PLUGPULL

The sections are the modules in contract/. Every check counts; a failing one prints the command,
what was expected and what came. The last line is 'N passed, N failed'. Everything is written below
a folder of its own in $TMPDIR, which is removed at the end.

Does not check what the verdicts rest on (the disk model, the explorer, the oracles): their own
tests do.
"""
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, 'contract'))
sys.dont_write_bytecode = True

# pylint: disable=wrong-import-position
import begin  # noqa: E402
import claims  # noqa: E402
import commands  # noqa: E402
import compare  # noqa: E402
import damage  # noqa: E402
import defects  # noqa: E402
import depth  # noqa: E402
import explain  # noqa: E402
import gdb  # noqa: E402
import judging  # noqa: E402
import kills  # noqa: E402
import materialize  # noqa: E402
import matrix  # noqa: E402
import models  # noqa: E402
import mutate  # noqa: E402
import outside  # noqa: E402
import programs  # noqa: E402
import results  # noqa: E402
import scenarios  # noqa: E402
import shrink  # noqa: E402
import waivers  # noqa: E402
import workers  # noqa: E402
from tool import Tool  # noqa: E402

CONTRACT = os.path.join(HERE, '..', '..', '..', 'docs', 'contract.md')


def check_all(t):
    extension = scenarios.build_library(t, scenarios.EXTENSION)
    no_wal = scenarios.build_library(t, scenarios.NO_WAL)
    for section, *args in ((commands, CONTRACT), (scenarios, extension), (outside,),
                           (results, no_wal), (damage,), (models,), (depth,), (judging,), (workers,), (kills,),
                           (materialize,), (gdb,), (explain,), (claims,),
                           (programs,),
                           (matrix, no_wal), (mutate,), (begin,), (compare,), (waivers,),
                           (shrink, extension), (defects,)):
        start, count = time.monotonic(), t.passed + t.failed
        section.check(t, *args)
        print(f'{section.__name__}: {t.passed + t.failed - count} checks, '
              f'{time.monotonic() - start:.1f} s', flush=True)


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    t = Tool(sys.argv[1])
    try:
        if os.access(t.binary, os.X_OK):
            check_all(t)
        else:
            t.check(False, 'the program', None, 'an executable file', t.binary)
    finally:
        t.close()
    print(f'{t.passed} passed, {t.failed} failed')
    return 1 if t.failed or not t.passed else 0


if __name__ == '__main__':
    sys.exit(main())

#!/usr/bin/env python3
"""The demo is green as it stands, and each planted defect turns it red, noticed by the right oracle.

    demo_test.py PLUGPULL      from the top of the tree

The defects are planted in a copy of the demo's own scenario, so what turns red is the demo and not
some other check.
"""
import os
import shutil
import subprocess
import sys
import tempfile

DEFECTS = {
    'missing-commit-sync': 'history',
    'batch-in-two-transactions': 'batch',
    'migration-outside-transaction': 'schema',
    'ack-before-commit': 'history',
}


def demo(plugpull, folder):
    return subprocess.run(['sh', 'scenarios/demo.sh', plugpull, folder], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)


def main():
    plugpull = os.path.abspath(sys.argv[1])
    passed = failed = 0

    def check(good, name, output):
        nonlocal passed, failed
        if good:
            passed += 1
        else:
            failed += 1
            print(f'FAILED: {name}\n{output}')

    with tempfile.TemporaryDirectory() as work:
        run = demo(plugpull, 'scenarios')
        check(run.returncode == 0 and 'All as it should be.' in run.stdout, 'the demo is green',
              run.stdout)
        for defect, oracle in DEFECTS.items():
            folder = os.path.join(work, defect)
            shutil.copytree('scenarios', folder)
            path = os.path.join(folder, 'archival.sql')
            with open(path, encoding='utf-8') as f:
                text = f.read()
            with open(path, 'w', encoding='utf-8') as f:
                # Fewer batches: a run without syncs has very many states.
                text = text.replace('batches=20', 'batches=6')
                f.write(text.replace('-- @workload', f'-- @plant {defect}\n-- @workload', 1))
            run = demo(plugpull, folder)
            check(run.returncode == 1 and 'demo: RED' in run.stdout and
                  f'\n  {oracle}, ' in run.stdout, f'{defect} turns the demo red', run.stdout)
    print(f'{passed} passed, {failed} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())

#!/usr/bin/env python3
"""The demo is green as it stands, and each planted defect turns it red, noticed by the right oracle.
What the READMEs show is what happens.

    demo_test.py PLUGPULL      from the top of the tree

The defects are planted in a copy of the demo's own scenario, so what turns red is the demo and not
some other check.
"""
import os
import re
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


def words(text):
    """Without tokens, which hold the folder's name, and numbers."""
    return re.sub(r'pp1-[0-9a-f]+|\d+', '#', text)


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
        # The example of README.md, to the letter.
        with open('README.md', encoding='utf-8') as f:
            text = f.read()
        shown = re.search(r'\$ cat orders.sql\n(.*?)\n\n\$ build/plugpull run orders.sql\n(.*?)```', text,
                          re.S)
        with open(os.path.join(work, 'orders.sql'), 'w', encoding='utf-8') as f:
            f.write(shown.group(1) + '\n')
        run = subprocess.run([plugpull, 'run', 'orders.sql'], cwd=work, capture_output=True, text=True)
        check(run.returncode == 1 and run.stdout == shown.group(2), 'the example of README.md',
              run.stdout + run.stderr)
        # The program of README.md: the same words; the numbers are Python's.
        shown = re.search(r'\$ cat shop.py\n(.*?)\n\n\$ build/plugpull (test .*? -- )(.*?)\n(.*?)```', text,
                          re.S)
        with open(os.path.join(work, 'shop.py'), 'w', encoding='utf-8') as f:
            f.write(shown.group(1) + '\n')
        run = subprocess.run([plugpull, *shown.group(2).split(), *shown.group(3).split()], cwd=work,
                             capture_output=True, text=True)
        check(run.returncode == 1 and words(run.stdout) == words(shown.group(4)) and
              run.stderr.count('thank you') == 3, 'the program of README.md', run.stdout + run.stderr)
        # Every example of scenarios/README.md holds, with nothing left unchecked.
        with open('scenarios/README.md', encoding='utf-8') as f:
            examples = re.findall(r'```sql\n(.*?)```', f.read(), re.S)
        for number, example in enumerate(examples):
            name = f'example-{number + 1}.sql'
            with open(os.path.join(work, name), 'w', encoding='utf-8') as f:
                f.write(example)
            run = subprocess.run([plugpull, 'run', name], cwd=work, capture_output=True, text=True)
            check(run.returncode == 0 and 'not applicable' not in run.stdout,
                  f'{name} of scenarios/README.md', run.stdout + run.stderr)
        check(len(examples) >= 4, 'scenarios/README.md has examples', str(len(examples)))
    print(f'{passed} passed, {failed} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())

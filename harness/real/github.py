#!/usr/bin/env python3
"""What GitHub's own programs make of a report: the toolkit, npm's @actions/core.

    github.py --build DIR

Each line of annotations.txt is read as the runner reads it, and given to the toolkit's writer: what
it writes must be that line again, to the byte. The report is of scenarios whose names have all that
the format escapes. What npm fetches goes to DIR/real/github, once. The action is then tried with no
plugpull at hand, so that it builds its own source (reports/test/gate_test.py --build). The last line
is 'N passed, N failed'.
"""
import argparse
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
# The last one that is CommonJS, which every Node reads.
CORE = '1.11.1'
NAMES = ['plain', '100%', '%0A', 'a,b:c', '::error::x', '::error file=x::y', 'é–', 'a=b', ' blank ',
         '%25%3A', "it's"]
SQL = '''-- @scenario {0}
-- @pragma journal_mode=wal synchronous=normal
-- @setup
CREATE TABLE t(x);
-- @client c
INSERT INTO t VALUES (1);
'''


def fetch(folder):
    os.makedirs(folder, exist_ok=True)
    if not os.path.exists(os.path.join(folder, 'node_modules', '@actions', 'core')):
        with open(os.path.join(folder, 'package.json'), 'w', encoding='utf-8') as f:
            f.write('{"private": true}\n')
        subprocess.run(['npm', 'install', '--no-package-lock', '--no-audit', '--no-fund', '--silent',
                        f'@actions/core@{CORE}'], cwd=folder, check=True, timeout=600)
    return os.path.join(folder, 'node_modules')


def check_annotations(plugpull, modules, names):
    """Why the two do not agree, or an empty text."""
    with tempfile.TemporaryDirectory(prefix='plugpull-github-') as folder:
        for name in names:
            os.makedirs(os.path.join(folder, 's'), exist_ok=True)
            with open(os.path.join(folder, 's', name + '.sql'), 'w', encoding='utf-8') as f:
                f.write(SQL.format(name))
        ran = subprocess.run([plugpull, 'run', 's', '--report', 'out'], cwd=folder, timeout=120,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if ran.returncode != 1:
            return f'the run ended with {ran.returncode}: {ran.stdout.decode()}'
        path = os.path.join(folder, 'out', 'annotations.txt')
        with open(path, 'rb') as f:
            ours = f.read()
        theirs = subprocess.run(['node', os.path.join(HERE, 'github.js'), path], timeout=120,
                                stdout=subprocess.PIPE, check=True,
                                env={**os.environ, 'NODE_PATH': modules}).stdout
        if len(ours.splitlines()) != min(len(names), 10):
            return f'{len(ours.splitlines())} annotations of {len(names)} cases'
        return '' if ours == theirs else f'ours   {ours.decode()}\ntheirs {theirs.decode()}'


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--build', default=os.path.join(TOP, 'build'))
    build = os.path.abspath(parser.parse_args().build)
    plugpull = os.path.join(build, 'plugpull')
    passed = failed = 0
    try:
        modules = fetch(os.path.join(build, 'real', 'github'))
        for names in (NAMES[:8], NAMES[8:], NAMES):
            why = check_annotations(plugpull, modules, names)
            passed, failed = passed + (not why), failed + bool(why)
            print(f'{"FAIL" if why else "ok":<5} annotations of {len(names)} cases, by '
                  f'@actions/core {CORE}{": " + why if why else ""}')
    except (OSError, subprocess.SubprocessError) as e:
        failed += 1
        print(f'FAIL  @actions/core {CORE}: {e}')
    ran = subprocess.run([sys.executable, '-B', os.path.join(TOP, 'reports', 'test', 'gate_test.py'),
                          plugpull, '--build'], stdout=subprocess.PIPE, text=True, timeout=3600)
    good = ran.returncode == 0
    passed, failed = passed + good, failed + (not good)
    print(f'{"ok" if good else "FAIL":<5} the action builds plugpull: {ran.stdout.strip()}')
    print(f'{passed} passed, {failed} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())

#!/usr/bin/env python3
"""Other releases of SQLite: fetching them, and a few of the grades of docs/sqlite-versions.md.

    versions_test.py PLUGPULL         from the top of the tree

Checks: .ci/sqlite-versions builds what a package has, says what is missing and why, and takes no
release for another; the page and .ci/sqlite-history speak of the same tables and releases; with the
libraries that are in build/sqlite (or in the folder that PLUGPULL_SQLITE_DIR names), one cell for
each thing that changed. npm and the network are not needed: here a script stands in for npm.

Does not check the other cells: .ci/sqlite-history --check.
"""
import json
import os
import re
import subprocess
import sys
import tempfile

PAGE = 'docs/sqlite-versions.md'
FETCH = os.path.abspath('.ci/sqlite-versions')
HISTORY = '.ci/sqlite-history'

# scenario, settings, {release: (grade, commits lost)}: both sides of every change.
CELLS = [
    ('modes', 'journal_mode=wal synchronous=full', {'3.7.8': ('corrupt', None),
                                                    '3.7.13': ('durable', 0)}),
    ('shrink', 'journal_mode=delete synchronous=full', {'3.7.13': ('durable', 0),
                                                        '3.7.17': ('corrupt', None),
                                                        '3.54.1': ('corrupt', None)}),
    ('modes', 'journal_mode=truncate synchronous=full', {'3.8.6': ('consistent', 1),
                                                         '3.8.7.1': ('durable', 0)}),
    ('modes', 'journal_mode=delete synchronous=extra', {'3.9.1': ('corrupt', None),
                                                        '3.11.0': ('durable', 0),
                                                        '3.54.1': ('durable', 0)}),
    ('modes', 'journal_mode=delete synchronous=full', {'3.7.8': ('consistent', 1),
                                                       '3.54.1': ('consistent', 1)}),
]

# Stands in for npm: packs a sqlite3.c in a tar file in a tar file, as old packages do.
NPM = '''#!{python}
import io, sys, tarfile
def tar(name, data):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w:gz') as t:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        t.addfile(member, io.BytesIO(data))
    return out.getvalue()
if {fails}:
    sys.exit('npm error code E404')
source = {source!r}.encode()
inner = tar('sqlite-autoconf/sqlite3.c', source)
with open('package.tgz', 'wb') as f:
    f.write(tar('package/deps/sqlite-autoconf.tar.gz', inner))
'''
SOURCE = '#define SQLITE_VERSION        "{}"\nconst char *sqlite3_libversion(void) ' \
         '{{ return SQLITE_VERSION; }}\n'


class Test:
    def __init__(self, plugpull):
        self.plugpull = os.path.abspath(plugpull)
        self.work = tempfile.TemporaryDirectory(prefix='plugpull-versions-')
        # A program built with the address sanitizer would otherwise refuse another library.
        self.environment = dict(os.environ, ASAN_OPTIONS=':'.join(
            filter(None, [os.environ.get('ASAN_OPTIONS'), 'verify_asan_link_order=0'])))
        self.passed = self.failed = 0

    def check(self, good, what, found=''):
        if good:
            self.passed += 1
        else:
            self.failed += 1
            print(f'FAILED: {what}\n        {found}'.rstrip())

    def path(self, name):
        return os.path.join(self.work.name, name)


def fetch(t, *args, path=None):
    """Runs the script; its exit code and what it printed. `path` is the PATH that it sees."""
    env = dict(os.environ, PATH=path) if path is not None else None
    ran = subprocess.run([sys.executable, FETCH, *args], cwd=t.work.name, env=env,
                         capture_output=True, text=True, timeout=100)
    return ran.returncode, ran.stdout + ran.stderr


def put_npm(t, source='', fails=False):
    os.makedirs(t.path('bin'), exist_ok=True)
    with open(t.path('bin/npm'), 'w', encoding='utf-8') as f:
        f.write(NPM.format(python=sys.executable, fails=fails, source=source))
    os.chmod(t.path('bin/npm'), 0o755)
    return t.path('bin') + os.pathsep + os.environ['PATH']


def check_fetch(t):
    os.makedirs(t.path('out'))
    library = t.path('out/libsqlite3-3.15.0.so')
    path = put_npm(t, SOURCE.format('3.15.0'))
    code, text = fetch(t, '--into', 'out', '3.15.0', path=path)
    t.check(code == 0 and 'built    3.15.0' in text and os.path.exists(library),
            'what the package has is built', text)
    made = os.stat(library).st_mtime_ns if os.path.exists(library) else None
    path = put_npm(t, fails=True)
    code, text = fetch(t, '--into', 'out', '3.15.0', path=path)
    t.check(code == 0 and 'there    3.15.0' in text and made is not None and
            os.stat(library).st_mtime_ns == made, 'a library that is there stays', text)
    code, text = fetch(t, '--into', 'out', '3.24.0', path=path)
    t.check(code == 1 and 'missing  3.24.0  npm pack' in text and 'E404' in text,
            'asked for by name, what npm cannot fetch is a failure', text)
    code, text = fetch(t, '--into', 'out', path=path)
    t.check(code == 0 and text.count('missing  ') + text.count('there ') == len(text.splitlines()),
            'not asked for by name, it is none', text)
    code, text = fetch(t, '--into', 'out', '3.24.0', path=put_npm(t, SOURCE.format('3.23.1')))
    t.check(code == 1 and 'has SQLite 3.23.1' in text, 'another release is refused', text)
    code, text = fetch(t, '--into', 'out', '3.24.0',
                       path=put_npm(t, SOURCE.format('3.24.0') + '#error no\n'))
    t.check(code == 1 and 'does not compile' in text, 'a source that does not compile is', text)
    t.check(sorted(os.listdir(t.path('out'))) == ['libsqlite3-3.15.0.so'],
            'a release that could not be had leaves nothing behind', os.listdir(t.path('out')))
    os.makedirs(t.path('empty'), exist_ok=True)
    code, text = fetch(t, '--into', 'out', '3.24.0', path=t.path('empty'))
    t.check(code == 1 and 'npm is not installed' in text, 'without npm it says so', text)
    code, text = fetch(t, '--into', 'out', '3.99.0')
    t.check(code == 2 and '3.99.0' in text, 'an unknown release is bad usage', text)


def check_page(t):
    """The page has the tables that the script makes, and each release of the list."""
    with open(PAGE, encoding='utf-8') as f:
        page = f.read()
    with open(HISTORY, encoding='utf-8') as f:
        script = f.read()
    _, text = fetch(t, '--list')
    releases = [line.split() for line in text.splitlines()]
    absent = [v for v, package in releases if f'| {v} | `{package}` |' not in page]
    t.check(len(releases) >= 12 and not absent, f'{PAGE}: where each release is from', absent)
    names = re.findall(r"^    \('([^']+)', '[a-z-]+', (?:\[|[A-Z])", script, re.M)
    t.check(len(names) >= 3 and all(page.count(f'<!-- {name}: made by') == 1 for name in names),
            f'{PAGE}: the tables of {HISTORY}', names)
    tokens = re.findall(r'`(pp1-[0-9a-f]{32})`', page)
    t.check(len(tokens) == len(set(tokens)) >= 5, f'{PAGE}: tokens', tokens)


def check_refused(t):
    """A library that is too old, or was built without what is needed, is refused by its name."""
    for number, text, extra, said in (
            (3007007, '3.7.7', 'int sqlite3_complete;', '3.7.8 or later is needed'),
            (3040001, '3.40.1', 'int sqlite3_complete;',
             'was built without sqlite3_load_extension()')):
        with open(t.path('stub.c'), 'w', encoding='utf-8') as f:
            f.write(f'int sqlite3_libversion_number(void) {{ return {number}; }}\n'
                    f'const char *sqlite3_libversion(void) {{ return "{text}"; }}\n{extra}\n')
        subprocess.run(['cc', '-shared', '-fPIC', '-o', t.path('stub.so'), t.path('stub.c')],
                       check=True)
        ran = subprocess.run([t.plugpull, 'doctor', '--sqlite', t.path('stub.so')],
                             env=t.environment, capture_output=True, text=True, timeout=100)
        t.check(ran.returncode == 2 and f'SQLite {text}' in ran.stderr and said in ran.stderr and
                len(ran.stderr.splitlines()) == 1, f'SQLite {text} without what is needed',
                ran.stderr)


def check_cells(t):
    folder = os.environ.get('PLUGPULL_SQLITE_DIR', 'build/sqlite')
    ran_any = False
    for scenario, settings, grades in CELLS:
        sets = [word for setting in settings.split() for word in ('--set', setting)]
        for version, said in grades.items():
            library = os.path.abspath(f'{folder}/libsqlite3-{version}.so')
            if not os.path.exists(library):
                continue
            ran_any = True
            ran = subprocess.run(
                [t.plugpull, 'run', os.path.abspath(f'scenarios/history/{scenario}.sql'),
                 '--sqlite', library, '--json', '-', *sets], cwd=t.work.name, env=t.environment,
                capture_output=True, text=True, timeout=100)
            try:
                result = json.loads(ran.stdout)
                case, = result['cases']
                real = case['grade'], None if case['grade'] == 'corrupt' else case['lost_acked_max']
                good = real == said and result['sqlite']['version'] == version
            except ValueError:
                real, good = ran.stderr[-300:], False
            t.check(good, f'{scenario}, SQLite {version}, {settings}: {said}', real)
    if not ran_any:
        print(f'skipped: no library in {folder}; .ci/sqlite-versions makes them')


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    t = Test(sys.argv[1])
    check_fetch(t)
    check_page(t)
    check_refused(t)
    check_cells(t)
    print(f'{t.passed} passed, {t.failed} failed')
    return 1 if t.failed or not t.passed else 0


if __name__ == '__main__':
    sys.exit(main())

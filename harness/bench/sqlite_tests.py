"""SQLite's own crash tests, as the other side of a row: fetched with apt-get as a source package,
built below the build folder, and run. Nothing of it belongs to this project.

The system's package lists are not touched: apt-get gets folders of its own.
"""
import glob
import os
import re
import shutil
import subprocess
import tempfile
import time

TEST = 'crash3.test'  # the fastest of SQLite's crash tests, a crash run
HERE = os.path.dirname(os.path.abspath(__file__))


class NotHere(Exception):
    """Why these tests cannot be run on this machine."""


def call(command, why, seconds, **more):
    try:
        p = subprocess.run(command, capture_output=True, text=True, errors='replace',
                           timeout=seconds, check=False, **more)
    except FileNotFoundError:
        raise NotHere(f'there is no {command[0]}') from None
    except subprocess.TimeoutExpired:
        raise NotHere(f'{why}: not done after {seconds} s') from None
    if p.returncode != 0:
        last = (p.stderr.strip() or p.stdout.strip() or f'exit status {p.returncode}')
        raise NotHere(f'{why}: {last.splitlines()[-1]}')
    return p.stdout


def source_entries():
    """This system's Debian package sources, as entries for source packages, in deb822 form."""
    for path in sorted(glob.glob('/etc/apt/sources.list.d/*.sources')):
        with open(path, encoding='utf-8') as f:
            for stanza in re.split(r'\n\s*\n', f.read()):
                if re.search(r'^URIs:.*debian', stanza, re.M):
                    yield re.sub(r'^Types:.*$', 'Types: deb-src', stanza, flags=re.M)
    lists = ['/etc/apt/sources.list'] + sorted(glob.glob('/etc/apt/sources.list.d/*.list'))
    for path in filter(os.path.exists, lists):
        with open(path, encoding='utf-8') as f:
            for line in f:
                m = re.match(r'deb\s+(?:\[[^]]*\]\s+)?(\S*debian\S*)\s+(\S+)\s+(.+)$', line)
                if m:
                    yield (f'Types: deb-src\nURIs: {m[1]}\nSuites: {m[2]}\n'
                           f'Components: {m[3].strip()}\n')


def fetch(folder):
    """Unpacks the source package below `folder`; its path."""
    apt = os.path.join(folder, 'apt')
    for sub in ('parts', 'lists/partial', 'cache/archives/partial'):
        os.makedirs(os.path.join(apt, sub), exist_ok=True)
    with open(os.path.join(apt, 'parts', 'source.sources'), 'w', encoding='utf-8') as f:
        f.write('\n\n'.join(source_entries()) + '\n')
    options = ['-o', 'Dir::Etc::sourcelist=/dev/null',
               '-o', f'Dir::Etc::sourceparts={apt}/parts',
               '-o', f'Dir::State::lists={apt}/lists',
               '-o', f'Dir::Cache={apt}/cache', '-o', 'APT::Sandbox::User=root']
    call(['apt-get', *options, 'update'], 'apt-get update', 60)
    call(['apt-get', *options, 'source', '--download-only', 'sqlite3'],
         'apt-get source sqlite3', 120, cwd=folder)
    archives = [a for a in glob.glob(os.path.join(folder, 'sqlite3_*.orig.tar.*'))
                if not a.endswith('.asc')]
    if not archives:
        raise NotHere('apt-get source sqlite3 gave no sources')
    call(['tar', 'xf', os.path.abspath(archives[0])], 'tar', 60, cwd=folder)
    shutil.rmtree(apt)
    sources = glob.glob(os.path.join(folder, 'sqlite3-*', 'configure'))
    if not sources:
        raise NotHere('the sources of sqlite3 have no configure')
    return os.path.dirname(os.path.abspath(sources[0]))


def build(build_folder, say):
    """Fetches and builds SQLite's test program once; its path and that of its source."""
    folder = os.path.join(os.path.abspath(build_folder), 'bench', 'sqlite')
    program = os.path.join(folder, 'obj', 'testfixture')
    known = glob.glob(os.path.join(folder, 'sqlite3-*'))
    if os.path.exists(program) and known:
        return program, known[0]
    tcl = [p for p in ('/usr/lib/tcl8.6', '/usr/lib/tcl') if os.path.exists(f'{p}/tclConfig.sh')]
    if not tcl:
        raise NotHere('it needs tcl-dev')
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(os.path.join(folder, 'obj'))
    say('fetching and building SQLite\'s own tests, once')
    source = fetch(folder)
    where = {'cwd': os.path.join(folder, 'obj')}
    call([os.path.join(source, 'configure'), f'--with-tcl={tcl[0]}', 'CFLAGS=-O1'],
         'configure of SQLite', 60, **where)
    call(['make', 'testfixture'], 'building SQLite\'s testfixture', 180, **where)
    return program, source


def crash_runs(build_folder, tmpfs, say):
    """Runs the test on `tmpfs`; crash runs, seconds, and SQLite's version. NotHere: why not."""
    program, source = build(build_folder, say)
    with tempfile.TemporaryDirectory(dir=tmpfs) as work:
        begin = time.monotonic()
        output = call([program, os.path.join(HERE, 'sqlite_crash_runs.tcl'),
                       os.path.join(source, 'test', TEST)], TEST, 120, cwd=work)
        seconds = time.monotonic() - begin
    count = re.search(r'^crash_runs (\d+)$', output, re.M)
    if not re.search(r'^0 errors out of \d+ tests', output, re.M) or not count:
        raise NotHere(f'{TEST} of SQLite fails on this machine')
    return int(count[1]), seconds, os.path.basename(source).removeprefix('sqlite3-')

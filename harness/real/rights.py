"""plugpull for people who may do little: without privileges, without /dev/shm, with low limits.

Each test runs the sqlite3 shell at its defaults and expects the grade that it always has. What this
machine does not let us arrange (no root, no mount in a container) is said, and counts as nothing.
"""
import os
import shutil
import stat
import subprocess
import time

import tool

INPUTS = os.path.dirname(os.path.abspath(__file__))
NOBODY = 65534
NOBODY_PREFIX = ['setpriv', f'--reuid={NOBODY}', f'--regid={NOBODY}', '--clear-groups']
COMMAND = ['sqlite3', 'app.db', '.read {in}/ledger.sql']
GRADES = {'strict-posix': 'consistent 1'}
COMMITS = 8


def installed(plugpull, folder):
    """A copy of the program and what it loads, where everybody may read it."""
    place = folder.path('program')
    os.mkdir(place)
    for name in (plugpull, *(os.path.join(os.path.dirname(plugpull), name)
                             for name in os.listdir(os.path.dirname(plugpull))
                             if name.startswith('libplugpull-') and '.so' in name)):
        shutil.copy(name, place)
    shutil.copy(os.path.join(INPUTS, 'ledger.sql'), place)
    os.chmod(folder.name, 0o755)
    return os.path.join(place, os.path.basename(plugpull)), place


def arranged(prefix):
    """Can this be arranged here? The reason why not, or ''."""
    try:
        run = subprocess.run([*prefix, 'true'], stdin=subprocess.DEVNULL, capture_output=True,
                             text=True, timeout=tool.SECONDS)
    except FileNotFoundError:
        return f'{prefix[0]} is not installed'
    return run.stderr.strip() or f'exit status {run.returncode}' if run.returncode else ''


def graded(report, plugpull, name, prefix):
    """The grade under `prefix`."""
    why_not = arranged(prefix)
    if why_not:
        print(f'skip  rights: {name}: {why_not.splitlines()[0]}', flush=True)
        return
    start = time.monotonic()
    with tool.Folder() as folder:
        program, place = installed(plugpull, folder)
        if prefix[0] == 'setpriv':
            os.chown(folder.data, NOBODY, NOBODY)
        result_path = os.path.join(folder.data, 'result.json')
        command = [*prefix, program, 'test', '--json', result_path, '--', 'sqlite3', 'app.db',
                   f'.read {place}/ledger.sql']
        try:
            said = folder.run(command, {'TMPDIR': folder.data}, may_fail=True)
            complaints = tool.compare(tool.Result.read(result_path, said), GRADES, COMMITS)
        except tool.Failed as e:
            complaints = [e]
    report.add(f'rights: {name}', complaints, 'consistent 1', time.monotonic() - start)


def refused(report, plugpull, name, prefix, words, command=None):
    """One line that has these words, and no grade."""
    why_not = arranged(prefix)
    if why_not:
        print(f'skip  rights: {name}: {why_not.splitlines()[0]}', flush=True)
        return
    with tool.Folder() as folder:
        program, place = installed(plugpull, folder)
        run = subprocess.run([*prefix, program, 'test', '--',
                              *(command or ['sqlite3', 'app.db', f'.read {place}/ledger.sql'])],
                             cwd=folder.data, stdin=subprocess.DEVNULL, capture_output=True,
                             text=True, timeout=tool.SECONDS)
    said = run.stderr.strip().splitlines()
    good = run.returncode in (2, 3) and len(said) == 1 and all(word in said[0] for word in words)
    report.add(f'rights: {name}', [] if good else
               [f'exit status {run.returncode}', run.stdout, run.stderr], said[0] if said else '')


def setuid(report, plugpull):
    """The loader drops LD_PRELOAD for a program that changes its user."""
    name = 'a setuid program is refused'
    if os.geteuid() != 0:
        print(f'skip  rights: {name}: only root can make one', flush=True)
        return
    with tool.Folder() as folder:
        if os.statvfs(folder.name).f_flag & os.ST_NOSUID:
            print(f'skip  rights: {name}: {folder.name} is mounted nosuid', flush=True)
            return
        os.chmod(folder.name, 0o755)
        copy = folder.path('sqlite3')
        shutil.copy(shutil.which('sqlite3'), copy)
        os.chown(copy, NOBODY, NOBODY)
        os.chmod(copy, 0o755 | stat.S_ISUID)
        refused(report, plugpull, name, ['env'], ['setuid', 'strace'],
                [copy, 'app.db', 'CREATE TABLE t(x)'])


def no_room(report, plugpull):
    """The recording does not fit: nothing is graded, and the reason is said."""
    name = 'no room for the recording'
    prefix = ['unshare', '-m', 'sh', '-c', 'mount -t tmpfs -o size=1m tmpfs "$TMPDIR" && exec "$@"',
              'sh']
    with tool.Folder() as folder:
        small = folder.path('small')
        os.mkdir(small)
        why_not = arranged(['env', f'TMPDIR={small}', *prefix])
        if why_not:
            print(f'skip  rights: {name}: {why_not.splitlines()[0]}', flush=True)
            return
        said = folder.run([*prefix, plugpull, 'test', '--', 'sqlite3', 'app.db',
                           f'.read {INPUTS}/ledger.sql'], {'TMPDIR': small}, may_fail=True)
    report.add(f'rights: {name}', [] if 'No space left' in said and 'held' not in said else [said],
               said.strip().splitlines()[0] if said else '')


def limit(words):
    return ['sh', '-c', f'ulimit {words} && exec "$@"', 'sh']


def tests(report, plugpull):
    read_only_shm = ['unshare', '-m', 'sh', '-c',
                     'mount -t tmpfs -o ro tmpfs /dev/shm && exec "$@"', 'sh']
    nobody = NOBODY_PREFIX if os.geteuid() == 0 else ['env']
    return [(graded, report, plugpull, 'as nobody', nobody),
            (graded, report, plugpull, '/dev/shm cannot be written', read_only_shm),
            (graded, report, plugpull, 'no home', ['env', '-u', 'HOME']),
            (graded, report, plugpull, '32 open files', limit('-n 32')),
            (refused, report, plugpull, '8 GiB of address space', limit('-v 8388608'),
             ['ulimit -v', 'strace']),
            (refused, report, plugpull, 'files of 1 GiB', limit('-f 1048576'),
             ['ulimit -f', 'strace']),
            (no_room, report, plugpull), (setuid, report, plugpull)]

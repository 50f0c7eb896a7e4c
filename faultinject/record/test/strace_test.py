#!/usr/bin/env python3
"""`plugpull trace import`: exit codes, what is said, and that the trace is one that `trace show`
reads. What the text becomes is test_strace.c's.

    strace_test.py PLUGPULL
"""
import os
import subprocess
import sys
import tempfile

NEW = '''7 newfstatat(AT_FDCWD</d>, "/d/a.db", 0x7f, 0) = -1 ENOENT (No such file or directory)
7 openat(AT_FDCWD</d>, "/d/a.db", O_RDWR|O_CREAT, 0644) = 3</d/a.db>
7 fcntl(3</d/a.db>, F_SETLK, {l_type=F_WRLCK, l_whence=SEEK_SET, l_start=1073741825, l_len=1}) = 0
'''
WRITTEN = NEW + '7 pwrite64(3</d/a.db>, "x", 1, 0) = 1\n'
HOLE = WRITTEN + '7 mmap(NULL, 1, PROT_READ|PROT_WRITE, MAP_SHARED, 3</d/a.db>, 0) = 0x7f\n'


def main(plugpull):
    passed, failed = 0, 0
    with tempfile.TemporaryDirectory() as folder:
        def run(*args):
            return subprocess.run([plugpull, 'trace', *args], cwd=folder, capture_output=True,
                                  text=True, timeout=60, check=False)

        def check(what, good, ran):
            nonlocal passed, failed
            if good:
                passed += 1
            else:
                failed += 1
                print(f'FAIL {what}: exit {ran.returncode}\n{ran.stdout}{ran.stderr}')

        for name, text in (('good', WRITTEN), ('hole', HOLE), ('none', NEW), ('bad', NEW + 'x\n'),
                           ('empty', '')):
            with open(os.path.join(folder, name), 'w', encoding='ascii') as f:
                f.write(text)
        ran = run('import', '--strace', 'good', '-o', 'good.trace')
        check('a text', ran.returncode == 0 and ran.stdout == '' and 'hole' not in ran.stderr, ran)
        ran = run('show', 'good.trace')
        check('its trace', ran.returncode == 0 and 'write' in ran.stdout
              and '"/d/a.db"' in ran.stdout and 'hole' not in ran.stdout, ran)
        ran = run('import', '--strace', 'hole', '--output', 'hole.trace')
        check('a hole', ran.returncode == 0 and 'hole: line 5: ' in ran.stderr
              and 'not graded' in ran.stderr, ran)
        ran = run('show', 'hole.trace')
        check('its trace has it', ' hole ' in ran.stdout, ran)
        ran = run('import', '--strace', 'none', '-o', 'x')
        check('no database written', ran.returncode == 4 and 'no SQLite database' in ran.stderr,
              ran)
        for what, args in (('bad: line 4', ('--strace', 'bad', '-o', 'x')),
                           ('empty: line 1', ('--strace', 'empty', '-o', 'x')),
                           ('lost', ('--strace', 'lost', '-o', 'x')),
                           ('.: ', ('--strace', '.', '-o', 'x')),
                           ('-o TRACE', ('--strace', 'good')),
                           ('--strace FILE', ('-o', 'x')),
                           ('nothing else', ('y', '--strace', 'good', '-o', 'x'))):
            ran = run('import', *args)
            check(what, ran.returncode == 2 and what in ran.stderr
                  and ran.stderr.count('\n') == 1, ran)
        check('nothing is written then', not os.path.exists(os.path.join(folder, 'x')), ran)
        for args in (('show', 'good.trace', '-o', 'x'), ('stat', 'good.trace', '--strace', 'good'),
                     ('show',)):
            ran = run(*args)
            check(' '.join(args), ran.returncode == 2, ran)
        ran = run('--help')
        check('--help shows the options of strace', 'strace -f -y -xx' in ran.stdout, ran)
    print(f'{passed} passed, {failed} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main(os.path.abspath(sys.argv[1])))

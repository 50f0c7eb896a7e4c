#!/usr/bin/env python3
"""What `make install-tool` installs works where it is installed, and nothing else is there.

    library_test.py PLUGPULL           from the top of the tree; what is installed is that of
                                       PLUGPULL's folder
    library_test.py PLUGPULL --ctest   the example under CTest alone, which needs cmake

Installs into a folder of its own. Checks: the list of files; that pp_run.h compiles alone, as C and
as C++; that the libraries show what it declares and no other name; pkg-config's answers; that the
example under cmocka builds with both libraries and finds what it should; that `plugpull replay` shows
the tokens that it prints; that the installed program finds its recorder; the manual; that
uninstalling leaves nothing.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

EXAMPLE = os.path.abspath('harness/library/example')
HEADER = 'harness/library/pp_run.h'
MARKS = 'faultinject/record/plugpull.h'
WARNINGS = ['-pedantic', '-Wall', '-Wextra', '-Wshadow', '-Werror']
# What a sanitizer or coverage puts into every library, and the C library beside its own.
NOT_OURS = re.compile(r'__|mangle_path$|_init$|_fini$|_edata$|_end$|_bss_start$')
TOKEN = re.compile(r'plugpull replay (pp1-[0-9a-f]+)')


def read(path):
    with open(path, encoding='utf-8') as f:
        return f.read()


class Test:
    def __init__(self, plugpull, work):
        self.build = os.path.dirname(os.path.relpath(plugpull))
        self.work = work
        self.root = os.path.join(work, 'root')
        self.usr = os.path.join(self.root, 'usr')
        self.lib = os.path.join(self.usr, 'lib')
        self.include = os.path.join(self.usr, 'include')
        self.passed = self.failed = 0
        # Of the make above this one only the variables count, which are in the environment, too.
        self.env = {k: v for k, v in os.environ.items()
                    if k not in ('MAKEFLAGS', 'MFLAGS', 'MAKELEVEL', 'MAKEOVERRIDES')}
        self.env['PKG_CONFIG_PATH'] = os.path.join(self.lib, 'pkgconfig')
        self.cc = self.env.get('CC', 'gcc').split()

    def check(self, good, what, found=''):
        if good:
            self.passed += 1
        else:
            self.failed += 1
            print(f'FAIL  {what}: {str(found).strip()}')

    def run(self, argv, cwd=None, **env):
        return subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, encoding='utf-8', cwd=cwd,
                              env=dict(self.env, **env), check=False)

    def works(self, what, argv, cwd=None, **env):
        done = self.run(argv, cwd, **env)
        self.check(done.returncode == 0, what, f'{" ".join(argv)}\n{done.stdout}{done.stderr}')
        return done.stdout

    def make(self, target, *variables):
        self.works(f'make {target}', ['make', target, f'BUILD={self.build}', 'BOOTSTRAP=:',
                                      'PREFIX=/usr', f'DESTDIR={self.root}', *variables])

    def files(self):
        return {os.path.relpath(os.path.join(folder, name), self.root)
                for folder, _, names in os.walk(self.root) for name in names}

    def pkg_config(self, *options):
        moved = f'--define-variable=prefix={self.usr}'
        return self.works('pkg-config', ['pkg-config', moved, *options]).split()

    def installed(self, version):
        libraries = ['.a', '.so', '.so.0', f'.so.{version}']
        expected = {'bin/plugpull', 'lib/plugpull/libplugpull-record.so', 'lib/plugpull/plugpull.so',
                    'lib/pkgconfig/plugpull.pc', 'include/plugpull/pp_run.h',
                    'include/plugpull/plugpull.h', 'share/man/man1/plugpull.1',
                    'share/bash-completion/completions/plugpull',
                    'share/zsh/site-functions/_plugpull',
                    'share/fish/vendor_completions.d/plugpull.fish',
                    *(f'lib/libplugpull-run{suffix}' for suffix in libraries)}
        found = self.files()
        expected = {f'usr/{name}' for name in expected}
        self.check(found == expected, 'what is installed', found ^ expected)
        for header in (HEADER, MARKS):
            at = os.path.join(self.include, 'plugpull', os.path.basename(header))
            self.check(os.path.exists(at) and read(at) == read(header), header, 'not installed')

    def headers(self):
        """In a folder of its own, so that nothing is found in this tree."""
        source = os.path.join(self.work, 'alone')
        with open(source, 'w', encoding='utf-8') as f:
            f.write('#include <plugpull/pp_run.h>\n#include <plugpull/pp_run.h>\n'
                    '#include <plugpull/plugpull.h>\n')
        for compiler, language, standard in (('gcc', 'c', 'c99'), ('clang', 'c', 'c99'),
                                             ('g++', 'c++', 'c++11'), ('clang++', 'c++', 'c++11')):
            if shutil.which(compiler):
                self.works(f'the headers alone, {compiler}',
                           [compiler, f'-std={standard}', '-D_POSIX_C_SOURCE=200809L', *WARNINGS,
                            '-fsyntax-only', f'-I{self.include}', '-x', language, source])

    def symbols(self, version):
        declared = set(re.findall(r'^PP_API [^;(]*?\b(\w+)\(', read(HEADER), re.M))
        self.check({'pp_run', 'pp_ack'} <= declared, 'the header declares functions', declared)
        for options, name in ((['-D'], f'libplugpull-run.so.{version}'),
                              (['-g'], 'libplugpull-run.a')):
            shown = self.works('nm', ['nm', *options, '--defined-only',
                                      os.path.join(self.lib, name)])
            names = {line.split()[-1] for line in shown.splitlines() if len(line.split()) == 3}
            names = {name for name in names if not NOT_OURS.match(name)}
            self.check(names == declared, f'names of {name}', names ^ declared)
        dynamic = self.works('readelf', ['readelf', '-d',
                                         os.path.join(self.lib, f'libplugpull-run.so.{version}')])
        self.check('soname: [libplugpull-run.so.0]' in dynamic, 'soname', dynamic)

    def example(self, how, flags, **env):
        """The example under cmocka: its tests pass, and its losses are told and can be replayed."""
        folder = os.path.join(self.work, how)
        os.mkdir(folder)
        program = os.path.join(folder, 'test')
        self.works(f'the example, {how}',
                   [*self.cc, '-std=c11', *WARNINGS, f'{EXAMPLE}/test_cmocka.c',
                    f'{EXAMPLE}/orders.c', '-o', program, *flags])
        if not os.path.exists(program):
            return
        needed = self.works('readelf', ['readelf', '-d', program])
        self.check(('libplugpull-run.so.0' in needed) == (how == 'shared'), f'{how}: linked', needed)
        shown = self.works(f'{how}: the tests pass', [program], cwd=folder, **env)
        for text in ('3 acknowledged commits are gone', 'orders of 10, and 0 is owed'):
            self.check(text in shown, f'{how}: {text}', shown)
        told = re.findall(r'^(?:fast|careless): .*$', read('docs/library.md'), re.M)
        self.check(len(told) == 4 and all(line in shown.split('\n') for line in told),
                   'docs/library.md shows what it prints', told)
        self.check(not os.path.exists(os.path.join(folder, 'orders.db')), f'{how}: a real file')
        self.replays(program, folder, TOKEN.findall(shown), env)

    def replays(self, program, folder, tokens, env):
        plugpull = os.path.join(self.usr, 'bin/plugpull')
        self.check(len(tokens) == 2, 'two tokens', tokens)
        if len(tokens) != 2:
            return
        done = self.run([plugpull, 'replay', tokens[0]], cwd=folder)
        self.check(done.returncode == 1 and '3 acknowledged commits are gone' in done.stdout,
                   'the loss is replayed', done)
        done = self.run([plugpull, 'replay', tokens[1]], cwd=folder)
        self.check(done.returncode == 4 and f'PLUGPULL_TOKEN={tokens[1]}' in done.stdout,
                   'the case of a check names who can ask it', done)
        done = self.run([program], cwd=folder, PLUGPULL_TOKEN=tokens[1], **env)
        self.check(done.returncode == 0 and done.stdout.count('plugpull replay') == 2,
                   'the program asks its check again', done)

    def program(self):
        plugpull = os.path.join(self.usr, 'bin/plugpull')
        done = self.run([plugpull, 'record', '-o', 'x.trace', '--', 'sqlite3', 'x.db',
                         'CREATE TABLE t(n)'], cwd=self.work)
        self.check(done.returncode == 0, 'the installed program records', done)
        page = os.path.join(self.usr, 'share/man/man1/plugpull.1')
        if shutil.which('mandoc'):
            self.works('the manual is clean', ['mandoc', '-T', 'lint', '-W', 'warning', page])
            text = self.run(['mandoc', '-T', 'ascii', page]).stdout
        else:
            text = read(page)
        text = re.sub(r'.\x08', '', text)
        front = self.works('--help', [plugpull, '--help'])
        commands = re.findall(r'^  ([a-z]+) ', front.split('Options:')[0], re.M)
        self.check(len(commands) > 10, 'commands', commands)
        for command in commands:
            self.check(re.search(rf'^ *{command}\b', text, re.M), f'{command} is in the manual')
            for option in re.findall(r'^ .*?(--[a-z-]+)',
                                     self.run([plugpull, command, '--help']).stdout, re.M):
                self.check(option in text, f'{command} {option} is in the manual')

    def elsewhere(self):
        """LIBDIR of its own: the libraries are there, and the program still finds its recorder."""
        self.root = os.path.join(self.work, 'elsewhere')
        self.make('install-tool', 'LIBDIR=/usr/lib/some-linux')
        found = self.files()
        self.check('usr/lib/some-linux/libplugpull-run.so.0' in found and
                   'usr/lib/plugpull/libplugpull-record.so' in found, 'LIBDIR', found)
        text = read(os.path.join(self.root, 'usr/lib/some-linux/pkgconfig/plugpull.pc'))
        self.check('libdir=${prefix}/lib/some-linux\n' in text, 'libdir', text)
        done = self.run([os.path.join(self.root, 'usr/bin/plugpull'), 'record', '-o', 'y.trace', '--',
                         'sqlite3', 'y.db', 'CREATE TABLE t(n)'], cwd=self.work)
        self.check(done.returncode == 0, 'it records', done)
        self.make('uninstall-tool', 'LIBDIR=/usr/lib/some-linux')
        self.check(not self.files(), 'left after uninstalling', self.files())

    def all(self):
        version = re.search(r'PLUGPULL_VERSION "(.*)"', read('harness/case/version.h'))[1]
        self.make('install-tool')
        self.installed(version)
        self.headers()
        self.symbols(version)
        self.check(self.pkg_config('--modversion', 'plugpull') == [version], 'version', version)
        self.program()
        modules = ['plugpull', 'sqlite3', 'cmocka']
        self.example('shared', self.pkg_config('--cflags', '--libs', *modules),
                     LD_LIBRARY_PATH=self.lib)
        # The linker takes the static library where there is no shared one.
        flags = self.pkg_config('--cflags', '--libs', '--static', *modules)
        for name in os.listdir(self.lib):
            if '.so' in name:
                os.remove(os.path.join(self.lib, name))
        self.example('static', flags)
        self.make('uninstall-tool')
        self.check(not self.files(), 'left after uninstalling', self.files())
        self.elsewhere()

    def ctest(self):
        self.make('install-tool')
        source, build = os.path.join(self.work, 'example'), os.path.join(self.work, 'build')
        shutil.copytree(EXAMPLE, source)
        # What DESTDIR put there was meant for /usr.
        pc = os.path.join(self.lib, 'pkgconfig/plugpull.pc')
        text = read(pc).replace('prefix=/usr', f'prefix={self.usr}', 1)
        with open(pc, 'w', encoding='utf-8') as f:
            f.write(text)
        self.works('cmake', ['cmake', '-S', source, '-B', build])
        self.works('the build', ['cmake', '--build', build])
        shown = self.works('ctest', ['ctest', '--test-dir', build, '--output-on-failure'],
                           LD_LIBRARY_PATH=self.lib)
        self.check('100% tests passed, 0 tests failed out of 3' in shown, 'three tests', shown)
        for name, status in (('safe', 0), ('fast', 1), ('careless', 1), ('none', 2)):
            done = self.run([os.path.join(build, 'test_ctest'), name], cwd=build,
                            LD_LIBRARY_PATH=self.lib)
            self.check(done.returncode == status, f'{name}: exit status {status}', done)


def main(argv):
    if len(argv) not in (1, 2) or argv[1:] not in ([], ['--ctest']):
        print(__doc__, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix='plugpull-library-') as work:
        test = Test(argv[0], work)
        if argv[1:]:
            test.ctest()
        else:
            test.all()
    print(f'{test.passed} passed, {test.failed} failed')
    return 1 if test.failed else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))

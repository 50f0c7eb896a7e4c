#!/usr/bin/env python3
"""What `make install-store` installs is a library that a stranger can use, and nothing else.

    install_test.py PLUGPULL     from the top of the tree; the library is that of PLUGPULL's folder

Installs into a folder of its own. Checks: the list of files; that the header compiles alone, as C
and as C++; that the shared library shows the functions which the public headers declare and no other
symbol, and the static one defines only names that start with store_; soname and needed libraries;
pkg-config's answers; that the example builds with both libraries, keeps lines, finds them when it
starts again, and reports what fails; that uninstalling leaves nothing.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

HEADER_FLAGS = ['-pedantic', '-Wall', '-Wextra', '-Werror', '-fsyntax-only']
EXAMPLE = 'store/example/archive.c'
# What a sanitizer or coverage puts into every shared library, and the C library beside its own.
NOT_OURS = re.compile(r'__|mangle_path$|_init$|_fini$|_edata$|_end$')


def read(path):
    with open(path, encoding='utf-8') as f:
        return f.read()


def declared(text):
    """The functions that a header declares: no macros, no members, nothing that is inline."""
    text = re.sub(r'/\*.*?\*/|//[^\n]*', ' ', text, flags=re.S)
    text = re.sub(r'^[ \t]*#(?:[^\n]*\\\n)*[^\n]*', '', text, flags=re.M)
    text = re.sub(r'\bSTORE_API_(BEGIN|END)\b|__attribute__\s*\(\(.*?\)\)', ' ', text, flags=re.S)
    while '{' in text:
        text, count = re.subn(r'\{[^{}]*\}', ' ', text)
        if not count:
            break
    found = set()
    for declaration in text.split(';'):
        match = re.match(r'[\w\s*]*?\b(\w+)\s*\(', declaration)
        if match and not re.search(r'\b(static|typedef)\b', declaration):
            found.add(match[1])
    return found


class Test:
    def __init__(self, plugpull, work):
        self.build = os.path.dirname(os.path.relpath(plugpull))
        self.work = work
        self.root = os.path.join(work, 'root')
        self.lib = os.path.join(self.root, 'usr/lib')
        self.include = os.path.join(self.root, 'usr/include')
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

    def run(self, argv, text='', **env):
        return subprocess.run(argv, input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              encoding='utf-8', errors='surrogateescape',
                              env=dict(self.env, **env), check=False)

    def works(self, what, argv, **env):
        done = self.run(argv, **env)
        self.check(done.returncode == 0, what, f'{" ".join(argv)}\n{done.stderr}')
        return done.stdout

    def make(self, target):
        self.works(f'make {target}', ['make', target, f'BUILD={self.build}', 'BOOTSTRAP=:',
                                      'PREFIX=/usr', f'DESTDIR={self.root}'])

    def files(self):
        return {os.path.relpath(os.path.join(folder, name), self.root)
                for folder, _, names in os.walk(self.root) for name in names}

    def pkg_config(self, *options):
        moved = f'--define-variable=prefix={self.root}/usr'
        return self.works('pkg-config', ['pkg-config', moved, *options, 'plugpull-store']).split()

    def installed(self, version):
        headers = {'store/store.h'} | {
            f'store/{name}' for name in re.findall(r'^#include "(.*)"', read('store/store.h'), re.M)}
        names = ['libplugpull-store.a', 'libplugpull-store.so', 'libplugpull-store.so.0',
                 f'libplugpull-store.so.{version}', 'pkgconfig/plugpull-store.pc']
        expected = {f'usr/lib/{name}' for name in names} | {
            f'usr/include/plugpull/{os.path.basename(h)}' for h in headers}
        self.check(self.files() == expected, 'what is installed', self.files() ^ expected)
        for header in headers:
            at = os.path.join(self.include, 'plugpull', os.path.basename(header))
            self.check(os.path.exists(at) and read(at) == read(header), header, 'not installed')
        return set().union(*(declared(read(header)) for header in headers))

    def headers(self, functions):
        """In a folder of its own, so that nothing is found in this tree."""
        source = os.path.join(self.work, 'alone')
        with open(source, 'w', encoding='utf-8') as f:
            f.write('#include <plugpull/store.h>\n#include <plugpull/store.h>\n')
        for compiler, language, standard in (('gcc', 'c', 'c11'), ('clang', 'c', 'c11'),
                                             ('g++', 'c++', 'c++11'), ('clang++', 'c++', 'c++11')):
            if shutil.which(compiler):
                self.works(f'the header alone, {compiler}',
                           [compiler, f'-std={standard}', *HEADER_FLAGS, f'-I{self.include}', '-x',
                            language, source])
        if not shutil.which('g++'):
            return
        with open(source, 'w', encoding='utf-8') as f:
            f.write('#include <plugpull/store.h>\ntypedef void (*any)();\nany all[] = {\n' +
                    ''.join(f'reinterpret_cast<any>({name}),\n' for name in sorted(functions)) +
                    '};\nint main() { return all[0] == all[1]; }\n')
        self.works('every function linked from C++',
                   ['g++', '-std=c++11', '-x', 'c++', source, '-x', 'none', '-o',
                    os.path.join(self.work, 'all'), *self.pkg_config('--cflags', '--libs')])

    def symbols(self, functions, version):
        shared = os.path.join(self.lib, f'libplugpull-store.so.{version}')
        shown = {line.split()[-1] for line in
                 self.works('nm', ['nm', '-D', '--defined-only', shared]).splitlines()}
        shown = {name for name in shown if not NOT_OURS.match(name)}
        self.check(len(functions) > 10, 'the headers declare functions', functions)
        self.check(not functions - shown, 'declared and not exported', functions - shown)
        self.check(not shown - functions, 'exported and not declared', shown - functions)

        static = self.works('nm', ['nm', '-g', '--defined-only',
                                   os.path.join(self.lib, 'libplugpull-store.a')])
        strange = {line.split()[-1] for line in static.splitlines() if len(line.split()) == 3}
        strange = {name for name in strange
                   if not name.startswith('store_') and not NOT_OURS.match(name)}
        self.check(not strange, 'names in the static library', strange)

        dynamic = self.works('readelf', ['readelf', '-d', shared])
        self.check('soname: [libplugpull-store.so.0]' in dynamic, 'soname', dynamic)
        needed = re.findall(r'NEEDED.*\[(.*?)\.so', dynamic)
        allowed = {'libsqlite3', 'libc', 'libpthread', 'libasan', 'libubsan', 'libtsan', 'ld-linux',
                   'ld-linux-x86-64', 'ld-linux-aarch64'}
        self.check('libsqlite3' in needed and set(needed) <= allowed, 'needed libraries', needed)

    def example(self, how, flags, **env):
        """The example, built and run: what it kept is there when it starts again."""
        program = os.path.join(self.work, f'archive-{how}')
        self.works(f'the example, {how}',
                   [*self.cc, '-std=c11', '-pedantic', '-Wall', '-Wextra', '-Wshadow', '-Wconversion',
                    '-Werror', EXAMPLE, '-o', program, *flags])
        if not os.path.exists(program):
            return
        needed = self.works('readelf', ['readelf', '-d', program])
        self.check(('libplugpull-store.so.0' in needed) == (how == 'shared'), f'{how}: linked',
                   needed)
        store = os.path.join(self.work, f'{how}.db')
        many = ''.join(f'line {i}\n' for i in range(3, 253))
        shown = ''
        for text, kept in (('first\nsecond\n\n', 'kept 3\n'), ('', ''),
                           (many, 'kept 100\nkept 100\nkept 50\n')):
            done = self.run([program, store, 'a server'], text, **env)
            self.check(done.returncode == 0 and done.stdout == shown + kept, f'{how}: {kept!r}',
                       done)
            start = shown.count('\n')
            shown += ''.join(f'{start + i} {line}\n'
                             for i, line in enumerate(text.split('\n')[:-1]))
        for argv, text, status, message in (
                ([], '', 2, 'usage:'),
                ([os.path.join(self.work, 'missing/x.db'), 's'], 'x\n', 1, 'STORE_ERR_CANNOT_OPEN'),
                ([':memory:', 's'], 'x\n', 1, 'STORE_ERR_IN_MEMORY'),
                ([store, 's' * 256], 'x\n', 1, 'STORE_ERR_INVALID'),
                ([store, 's'], 'x\n\udcff\n', 0, '')):
            done = self.run([program, *argv], text, **env)
            self.check(done.returncode == status and message in done.stderr and
                       ('kept' in done.stdout) == (status == 0), f'{how}: {argv}', done)

    def all(self):
        version = re.search(r'PLUGPULL_VERSION "(.*)"', read('harness/case/version.h'))[1]
        self.make('install-store')
        functions = self.installed(version)
        self.headers(functions)
        self.symbols(functions, version)
        self.check(self.pkg_config('--modversion') == [version], 'version', version)
        plain = self.works('pkg-config', ['pkg-config', '--variable=libdir', 'plugpull-store'])
        self.check(plain.strip() == '/usr/lib', 'libdir', plain)
        self.example('shared', self.pkg_config('--cflags', '--libs'), LD_LIBRARY_PATH=self.lib)
        # The linker takes the static library where there is no shared one.
        flags = self.pkg_config('--cflags', '--libs', '--static')
        self.check('-lsqlite3' in flags, 'static linking names SQLite', flags)
        for name in os.listdir(self.lib):
            if '.so' in name:
                os.rename(os.path.join(self.lib, name), os.path.join(self.work, name))
        self.example('static', flags)
        self.make('install-store')
        self.make('uninstall-store')
        self.check(not self.files(), 'left after uninstalling', self.files())
        self.check(not os.path.exists(os.path.join(self.include, 'plugpull')),
                   'the folder of the headers', 'is left')


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix='plugpull-install-') as work:
        test = Test(sys.argv[1], work)
        test.all()
    print(f'{test.passed} passed, {test.failed} failed')
    return 1 if test.failed else 0


if __name__ == '__main__':
    sys.exit(main())

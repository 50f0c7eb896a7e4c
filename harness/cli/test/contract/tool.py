"""Runs the program under test and counts checks. Knows nothing about what the contract says."""
import json
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
import traceback

SECONDS_MAX = 60  # of one command; more is a hang


class Ran:
    """A command that has ended: its exit code, what it printed, and how to repeat it."""

    def __init__(self, command, code, out, err, seconds=0.0):
        self.command, self.code, self.out, self.err, self.seconds = command, code, out, err, seconds

    def json(self):
        return json.loads(self.out)

    def case(self, index=0):
        return self.json()['cases'][index]


def sorted_pairs(pairs):
    """For json.loads: refuses an object whose keys are doubled or not in order."""
    keys = [key for key, _ in pairs]
    if keys != sorted(set(keys)):
        raise ValueError(f'keys not sorted: {keys}')
    return dict(pairs)


def session_of(pid):
    try:
        with open(f'/proc/{pid}/stat', encoding='utf-8', errors='replace') as f:
            fields = f.read().rpartition(')')[2].split()
    except OSError:
        return None
    return None if fields[0] == 'Z' else int(fields[3])


def processes_of_session(session):
    return [int(p) for p in os.listdir('/proc') if p.isdigit() and session_of(p) == session]


class Tool:
    """One binary, one folder to work in, and the count of checks."""

    def __init__(self, binary):
        self.binary = os.path.abspath(binary)
        self.root = tempfile.mkdtemp(prefix='plugpull-contract-')
        self.passed = self.failed = self.folders = 0
        self.environment = {k: v for k, v in os.environ.items()
                            if k not in ('NO_COLOR', 'LD_PRELOAD') and
                            not k.startswith('PLUGPULL_')}
        self.environment['TMPDIR'] = self.folder()
        # A program built with the address sanitizer would otherwise refuse any LD_PRELOAD.
        self.environment['ASAN_OPTIONS'] = ':'.join(
            filter(None, [os.environ.get('ASAN_OPTIONS'), 'verify_asan_link_order=0']))

    def close(self):
        shutil.rmtree(self.root, ignore_errors=True)

    # ---- files

    def folder(self):
        """A new empty folder: the current one of a command, so that .plugpull/ lands there."""
        self.folders += 1
        path = os.path.join(self.root, f'f{self.folders}')
        os.mkdir(path)
        return path

    def write(self, folder, name, data):
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'wb') as f:
            f.write(data.encode() if isinstance(data, str) else data)
        return path

    def scenario(self, text, name='f.sql', folder=None):
        """A folder with one scenario in it."""
        folder = folder or self.folder()
        self.write(folder, name, text)
        return folder

    # ---- commands

    def popen(self, args, cwd, env=None, stdout=subprocess.PIPE, before=None):
        return subprocess.Popen([self.binary, *args], cwd=cwd, stdin=subprocess.DEVNULL,
                                stdout=stdout, stderr=subprocess.PIPE, preexec_fn=before,
                                env={**self.environment, **(env or {})}, start_new_session=True)

    def run(self, *args, cwd=None, env=None, stdout=subprocess.PIPE, before=None):
        start = time.monotonic()
        cwd = cwd or self.folder()
        command = f'(cd {cwd} && {" ".join(map(shlex.quote, ["plugpull", *args]))})'
        process = self.popen(args, cwd, env, stdout, before)
        try:
            out, err = process.communicate(timeout=SECONDS_MAX)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            err += b'\n(did not end in time and was killed)'
        return Ran(command, process.returncode, (out or b'').decode('utf-8', 'replace'),
                   err.decode('utf-8', 'replace'), time.monotonic() - start)

    def run_text(self, text, *args, **more):
        """`run` of a scenario, with its JSON on stdout."""
        return self.run('run', 'f.sql', '--json', '-', *args, cwd=self.scenario(text), **more)

    # ---- checks

    def check(self, good, what, ran, expected, got):
        if good:
            self.passed += 1
            return True
        self.failed += 1
        print(f'FAIL  {what}')
        lines = [('expected', expected), ('got', got)]
        if ran is not None:
            lines = [('command', ran.command), ('exit', ran.code), ('stderr', ran.err.strip()),
                     *lines]
        for name, text in lines:
            print(f'      {name:<9} ' + str(text)[:1500].replace('\n', '\n' + 16 * ' '))
        return False

    def same(self, what, ran, expected, got):
        return self.check(expected == got, what, ran, repr(expected), repr(got))

    def has(self, what, ran, part, text):
        return self.check(part in text, what, ran, f'something with {part!r}', repr(text))

    def code(self, what, ran, expected):
        return self.same(f'{what}: exit code', ran, expected, ran.code)

    def refused(self, what, ran, *parts):
        """Bad usage or input: exit 2, one line on stderr with all the parts, nothing on stdout."""
        lines = ran.err.splitlines()
        good = ran.code == 2 and ran.out == '' and len(lines) == 1 and \
            lines[0].startswith('plugpull: ') and all(p in lines[0] for p in parts)
        return self.check(good, what, ran, f'exit 2 and one line on stderr with {parts}',
                          f'exit {ran.code}, stdout {ran.out[:200]!r}, stderr {ran.err[:400]!r}')

    def part(self, function, *args):
        """Runs one group of checks; what stops it is a failed check, and the others still run."""
        try:
            function(self, *args)
        except Exception:  # pylint: disable=broad-except
            self.check(False, f'{function.__name__}() runs to its end', None, 'no exception',
                       traceback.format_exc(limit=-3))

    def get(self, what, ran, function):
        """What function() returns, or None and a failed check when it cannot."""
        try:
            return function()
        except Exception as e:  # pylint: disable=broad-except
            self.check(False, what, ran, 'something that can be read', repr(e))
            return None

"""How the tests of real programs record one, have it graded, and compare the grade."""
import json
import os
import re
import shlex
import subprocess
import tempfile

# Generous: what is graded here takes a second. A program that hangs must not hang the tests.
SECONDS = 120


class Failed(Exception):
    """What went wrong before there was a grade."""


class Folder(tempfile.TemporaryDirectory):
    """An empty folder that a program runs in."""

    def __init__(self):
        super().__init__(prefix='plugpull-real-')

    def __enter__(self):
        # Databases stand in a folder of their own, apart from what the test itself writes.
        self.data = os.path.join(self.name, 'data')
        os.mkdir(self.data)
        return self

    def path(self, name):
        return os.path.join(self.name, name)

    def run(self, command, environment=None, may_fail=False):
        """Runs it in the folder for databases: what it wrote, stdout and stderr together."""
        try:
            run = subprocess.run(command, cwd=self.data, stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                 errors='replace', timeout=SECONDS,
                                 env=dict(os.environ, **(environment or {})))
        except FileNotFoundError:
            raise Failed(f'{command[0]} is not installed (sh .ci/bootstrap real)') from None
        except subprocess.TimeoutExpired:
            raise Failed(f"not done after {SECONDS} s: {' '.join(command)}") from None
        if run.returncode and not may_fail:
            raise Failed(f"exit status {run.returncode}: {' '.join(command)}\n{run.stdout}")
        return run.stdout

    def result(self, command, environment=None):
        """The JSON of a plugpull command, which writes it to 'result.json'."""
        path = self.path('result.json')
        said = self.run([*command[:2], '--json', path, '--jobs', '1', *command[2:]], environment,
                        may_fail=True)
        return Result.read(path, said)


class Result:
    def __init__(self, data, said):
        self.data, self.said = data, said

    @classmethod
    def read(cls, path, said):
        try:
            with open(path, encoding='utf-8') as f:
                return cls(json.load(f), said)
        except (OSError, ValueError) as e:
            raise Failed(f'no result ({e})\n{said}') from None

    def case(self, model):
        for case in self.data['cases']:
            if case['model'] == model:
                return case
        raise Failed(f'no case of model {model}\n{self.said}')

    def grade(self, model):
        """As cases.py writes it."""
        case = self.case(model)
        grade = case['grade']
        return f"{grade} {case['lost_acked_max']}" if grade == 'consistent' else str(grade)


class Preload:
    """`plugpull test`: LD_PRELOAD."""

    def __init__(self, plugpull):
        self.plugpull = plugpull

    def __call__(self, folder, command, models, environment=None, options=()):
        result = folder.result([self.plugpull, 'test', '--model', ','.join(models), *options, '--',
                                *command], environment)
        status = result.data.get('program_exit')
        if status != 0:
            raise Failed(f'the program ended with {status}\n{result.said}')
        return result


def why_no_strace():
    """'' when processes may be traced here, as they may not be in some containers."""
    try:
        run = subprocess.run(['strace', '-f', '-o', os.devnull, 'true'], stdin=subprocess.DEVNULL,
                             capture_output=True, text=True, timeout=SECONDS)
    except FileNotFoundError:
        return ''  # That is said where it is needed, and fails.
    return run.stderr.strip() or f'exit status {run.returncode}' if run.returncode else ''


class Strace:
    """strace, `plugpull trace import`, `plugpull explore`."""

    def __init__(self, plugpull):
        self.plugpull = plugpull
        self.options = None

    def __call__(self, folder, command, models, environment=None, options=()):
        log, trace = folder.path('strace.txt'), folder.path('strace.trace')
        if self.options is None:
            self.options = self.told_options(folder)
        folder.run(['strace', *self.options, '-o', log, *command], environment)
        folder.run([self.plugpull, 'trace', 'import', '--strace', log, '-o', trace])
        return folder.result([self.plugpull, 'explore', '--model', ','.join(models), *options,
                              trace])

    def told_options(self, folder):
        """The options that plugpull tells people to use."""
        told = folder.run([self.plugpull, 'trace', '--help'])
        line = re.search(r'strace (-f .*?) -o app\.strace',
                         ' '.join(told.replace('\\\n', ' ').split()))
        if line is None:
            raise Failed(f'no command line of strace in `trace --help`:\n{told}')
        return shlex.split(line[1])


class Extension:
    """The loadable VFS."""

    def __init__(self, plugpull):
        self.plugpull = plugpull

    def __call__(self, folder, command, models, environment=None):
        library = os.path.join(os.path.dirname(self.plugpull), 'plugpull')
        log = folder.path('app.log')
        shell, database, *rest = command
        folder.run([shell, ':memory:', f'.load {library}', f"SELECT plugpull_record('{log}');",
                    f'.open {database}', *rest], environment)
        return folder.result([self.plugpull, 'explore', '--model', ','.join(models), log])


def compare(result, grades, commits):
    """What of `result` is not as predicted, as lines."""
    complaints = []
    for model, predicted in grades.items():
        found = result.grade(model)
        as_predicted = found == predicted or predicted == 'consistent *' and \
            found.startswith('consistent ')
        if not as_predicted:
            complaints.append(f'{model}: {found}, and {predicted} was predicted')
            complaints += [f"  {v['grade']}: {v['message']}"
                           for v in result.case(model)['violations']]
        if result.case(model)['commits'] != commits:
            complaints.append(f"{model}: {result.case(model)['commits']} commits, and {commits} "
                              'were predicted')
    if complaints:
        complaints.append(result.said)
    return complaints

#!/usr/bin/env python3
"""Runs the steps that other people's CI runs, in a clean folder, green and red.

    gate_test.py PLUGPULL             with the program that is built
    gate_test.py PLUGPULL --build     the action builds it, from a copy of this tree (minutes)

The steps are those of .github/actions/plugpull/action.yml, of the workflow and of the GitLab job
that `plugpull init` writes: their shell is taken out of the files and run as the runners run it, and
the expressions in them are put in as GitHub would. shellcheck reads them, too. docs/ci.md shows the
same files. The last line is 'N passed, N failed'.

Does not check what only the services know: that they accept the files, and what they show.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

try:
    import yaml
except ImportError:
    if sys.executable != '/usr/bin/python3' and os.access('/usr/bin/python3', os.X_OK):
        os.execv('/usr/bin/python3', ['/usr/bin/python3', '-B', *sys.argv])
    print('FAIL  python3-yaml is not installed (sh .ci/bootstrap)\n0 passed, 1 failed')
    sys.exit(1)

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ACTION = os.path.join(TOP, '.github', 'actions', 'plugpull', 'action.yml')
PAGE = os.path.join(TOP, 'docs', 'ci.md')
# As the runner starts `shell: bash`, and GitLab its scripts.
BASH = ['bash', '--noprofile', '--norc', '-eo', 'pipefail']
KNOWN_ACTIONS = {'actions/checkout', 'actions/upload-artifact'}


class Counter:
    def __init__(self):
        self.passed = self.failed = 0

    def check(self, good, what, got=''):
        if good:
            self.passed += 1
        else:
            self.failed += 1
            print(f'FAIL  {what}: {str(got)[:2000]}')

    def same(self, what, expected, got):
        self.check(expected == got, what, f'expected {expected!r}, got {got!r}')


class Ended:
    """What a job came to."""

    def __init__(self):
        self.code, self.log, self.summary, self.outputs = 0, '', '', {}

    def commands(self):
        """The workflow commands in the log that the runner would heed, by its rules."""
        found, stopped = [], None
        for line in self.log.splitlines():
            match = re.match(r'::([^ :]+)(?: [^:]*)?::(.*)$', line.lstrip())
            if match and stopped:
                stopped = None if match.group(1) == stopped else stopped
            elif match and match.group(1) == 'stop-commands':
                stopped = match.group(2)
            elif match:
                found.append(line)
        return found


class Job:
    """Runs the steps of an action or a workflow in a folder."""

    def __init__(self, folder, environment):
        self.folder, self.environment = folder, environment
        self.ended = Ended()

    def evaluate(self, text, context):
        def value(match):
            return str(context[match.group(1)])
        return re.sub(r'\$\{\{ *([\w.-]+) *\}\}', value, str(text))

    def holds(self, condition, context):
        """Of what a step's `if` may say, what ours say."""
        if condition is None:
            return self.ended.code == 0
        result = True
        for part in condition.split(' && '):
            if part == 'always()':
                continue
            name, value = re.fullmatch(r"([\w.]+) != '(.*)'", part).groups()
            result = result and context[name] != value
        return result

    def shell(self, script, environment, context):
        files = {name: os.path.join(self.folder, '..', name) for name in ('summary', 'output')}
        for path in files.values():
            open(path, 'w', encoding='utf-8').close()
        ran = subprocess.run(
            [*BASH, '-c', script], cwd=self.folder, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=1200,
            env={**self.environment, **environment, 'GITHUB_STEP_SUMMARY': files['summary'],
                 'GITHUB_OUTPUT': files['output']})
        self.ended.log += ran.stdout.decode('utf-8', 'replace')
        with open(files['summary'], encoding='utf-8') as f:
            summary = f.read()
        # GitHub drops all of a summary that is larger.
        self.ended.summary += summary if len(summary.encode()) <= 1 << 20 else ''
        with open(files['output'], encoding='utf-8') as f:
            context.update(line.split('=', 1) for line in f.read().splitlines())
        return ran.returncode

    def action(self, given):
        """A composite action; returns its outputs."""
        with open(ACTION, encoding='utf-8') as f:
            action = yaml.safe_load(f)
        context = {f'inputs.{name}': given.get(name, spec.get('default', ''))
                   for name, spec in action['inputs'].items()}
        context['github.action_path'] = self.environment.get('TEST_ACTION_PATH',
                                                             os.path.dirname(ACTION))
        for step in action['runs']['steps']:
            if not self.holds(step.get('if'), context):
                continue
            outputs = {}
            environment = {name: self.evaluate(value, {**dict.fromkeys(
                re.findall(r'\$\{\{ *([\w.-]+) *\}\}', value), ''), **context})
                for name, value in step.get('env', {}).items()}
            code = self.shell(step['run'], environment, outputs)
            self.ended.code = self.ended.code or code
            for name, value in outputs.items():
                context[f'steps.{step["id"]}.outputs.{name}'] = value
        self.ended.outputs = {name: self.evaluate(spec['value'], {
            'steps.run.outputs.report': '', 'steps.run.outputs.exit-code': '', **context})
            for name, spec in action['outputs'].items()}
        return self.ended


def run_action(t, folder, plugpull, in_path=False, **given):
    environment = {'PATH': os.environ['PATH'], 'HOME': folder}
    if in_path:
        environment['PATH'] = f'{os.path.dirname(plugpull)}:{environment["PATH"]}'
    elif 'program' not in given:
        given['program'] = plugpull
    return Job(folder, environment).action(given)


def new_project(t, plugpull, root):
    folder = tempfile.mkdtemp(dir=root)
    project = os.path.join(folder, 'project')
    os.mkdir(project)
    ran = subprocess.run([plugpull, 'init'], cwd=project, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, timeout=60)
    t.same('plugpull init', 0, ran.returncode)
    return project


def weaken(project):
    path = os.path.join(project, 'durability', 'first.sql')
    with open(path, encoding='utf-8') as f:
        text = f.read()
    with open(path, 'w', encoding='utf-8') as f:
        f.write(text.replace('-- @pragma journal_mode=wal synchronous=full',
                             '-- @pragma journal_mode=wal synchronous=normal'))


def check_action(t, plugpull, root):
    project = new_project(t, plugpull, root)
    ended = run_action(t, project, plugpull)
    t.same('the action, green', (0, {'report': 'durability-report', 'exit-code': '0'}),
           (ended.code, ended.outputs))
    t.check(ended.summary.startswith('# plugpull run: held'), 'its summary', ended.summary)
    t.same('no annotation', [], ended.commands())
    ended = run_action(t, project, plugpull, in_path=True)
    t.same('with the program in PATH', (0, True), (ended.code, 'held' in ended.summary))

    shutil.copytree(os.path.join(project, 'durability-report'), os.path.join(project, 'base'))
    weaken(project)
    ended = run_action(t, project, plugpull, baseline='base', report='out')
    t.same('the action, red and worse', (1, {'report': 'out', 'exit-code': '1'}), (ended.code, ended.outputs))
    t.check('# plugpull run: violated' in ended.summary and 'plugpull replay cases/' in ended.summary,
            'its summary says how to see it', ended.summary)
    t.check(len(ended.commands()) == 1 and
            ended.commands()[0].startswith('::error title=first@strict-posix,file=durability/first.sql,'
                                           'line='), 'an annotation', ended.log)
    t.check('## Compared with the baseline\n\n    worse ' in ended.summary, 'and the comparison',
            ended.summary)
    t.check(os.path.exists(os.path.join(project, 'out', 'junit.xml')), 'the report is there', '')

    ended = run_action(t, project, plugpull, command='run durability/ --require consistent',
                       baseline='base', report='out')
    t.same('what holds and is worse than the baseline', (1, '0'),
           (ended.code, ended.outputs['exit-code']))
    ended = run_action(t, project, plugpull, command='run durability/ --require consistent',
                       baseline='out', report='out2')
    t.same('what is no worse than the baseline', 0, ended.code)
    before = run_action(t, project, plugpull, report='red')
    ended = run_action(t, project, plugpull, baseline='red', report='red2')
    t.same('what was violated before, and is no worse', (1, 0, '1'),
           (before.code, ended.code, ended.outputs['exit-code']))
    t.check('# plugpull run: violated' in ended.summary and '    no worse ' in ended.summary,
            '... and its summary says both', ended.summary)
    for given, code in (({'command': 'run durability/ --budget 1r'}, 4),
                        ({'command': 'run nosuch/'}, 2), ({'baseline': 'nosuch'}, 2)):
        ended = run_action(t, project, plugpull, **{'baseline': 'red', 'report': 'red3', **given})
        t.same(f'a baseline excuses nothing else: {given}', code, ended.code)

    ended = run_action(t, project, plugpull, command='run nosuch/', report='out')
    t.same('bad input, beside the report of an earlier run', (2, '', 1),
           (ended.code, ended.summary, len(ended.commands())))
    t.check('it ended with 2' in ended.commands()[0], '... which an annotation says', ended.log)
    ended = run_action(t, project, plugpull, command='run durability/ --budget 1r')
    t.same('inconclusive is red', (4, True), (ended.code, 'inconclusive' in ended.summary))

    ended = run_action(t, project, plugpull, report='a report', command=(
        "test --require durable -- sh -c 'echo \"::error::not ours\"; sqlite3 \"a b.db\" \"$1\"' x "
        "'CREATE TABLE t(x)'"))
    t.same('a program, quoted as in a shell', 1, ended.code)
    t.check('::error::not ours' in ended.log and
            [c.partition(' title=')[0] for c in ended.commands()] == ['::error'],
            'what it prints is no command', ended.log)
    t.check(os.path.exists(os.path.join(project, 'a report', 'junit.xml')), 'a report with a blank',
            '')


def check_workflow(t, plugpull, root):
    project = new_project(t, plugpull, root)
    with open(os.path.join(project, '.github', 'workflows', 'durability.yml'),
              encoding='utf-8') as f:
        workflow = yaml.safe_load(f)
    steps = workflow['jobs']['durability']['steps']
    uses = [step['uses'] for step in steps]
    t.same('the workflow reads and no more', {'contents': 'read'}, workflow['permissions'])
    t.same('it uses known actions, and ours', KNOWN_ACTIONS | {'./plugpull-source/.github/actions/'
                                                               'plugpull'},
           {use.partition('@')[0] for use in uses})
    ours = next(step for step in steps if step['uses'].startswith('./'))
    source = next(step['with'] for step in steps if step.get('with', {}).get('path'))
    t.check(ours['uses'].startswith(f'./{source["path"]}/') and
            os.path.exists(os.path.join(TOP, ours['uses'].split('/', 2)[2], 'action.yml')),
            'our action is in what is checked out', ours)
    t.check(steps.index(ours) > uses.index('actions/checkout@v4', 1), '... before', steps)
    upload = next(step for step in steps if 'upload-artifact' in step['uses'])
    t.same('the report is kept, green or red', ('always()', f'${{{{ steps.{ours["id"]}.outputs.report'
                                                ' }}'),
           (upload['if'], upload['with']['path']))
    with open(ACTION, encoding='utf-8') as f:
        inputs = yaml.safe_load(f)['inputs']
    t.same('it gives inputs that there are', set(), set(ours['with']) - set(inputs))
    for weak, code in ((False, 0), (True, 1)):
        if weak:
            weaken(project)
        ended = run_action(t, project, plugpull, in_path=True, **ours['with'])
        t.same(f'the workflow, {"red" if weak else "green"}', code, ended.code)


def check_gitlab(t, plugpull, root):
    project = new_project(t, plugpull, root)
    with open(os.path.join(project, 'durability', 'gitlab-ci.yml'), encoding='utf-8') as f:
        job = yaml.safe_load(f)['durability']
    path = f'{os.path.dirname(plugpull)}:{os.environ["PATH"]}'
    script = '\n'.join([*job.get('before_script', []), *job['script']])
    for weak, code in ((False, 0), (True, 1)):
        if weak:
            weaken(project)
        ran = subprocess.run([*BASH, '-c', script], cwd=project, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, env={'PATH': path, 'HOME': project},
                             timeout=120)
        t.same(f'the GitLab job, {"red" if weak else "green"}', code, ran.returncode)
        junit = os.path.join(project, job['artifacts']['reports']['junit'])
        t.check(os.path.exists(junit), 'its JUnit report is there', ran.stdout)
        with open(junit, encoding='utf-8') as f:
            t.same('... and says so', weak, '<failure ' in f.read())
    t.same('artifacts are kept when it is red, too', 'always', job['artifacts']['when'])
    # Without a plugpull it is fetched from where the variable says, and built there.
    tools = os.path.join(os.path.dirname(project), 'tools')
    os.mkdir(tools)
    for name, text in (
            ('git', '#!/bin/sh\necho "git $*"; mkdir -p plugpull-source/build\n'),
            ('make', f'#!/bin/sh\necho "make $*"; ln -sf "{plugpull}" plugpull-source/build/plugpull\n')):
        with open(os.path.join(tools, name), 'w', encoding='utf-8') as f:
            f.write(text)
        os.chmod(os.path.join(tools, name), 0o755)
    ran = subprocess.run([*BASH, '-c', script], cwd=project, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, timeout=120,
                         env={'PATH': f'{tools}:/usr/bin:/bin', 'PLUGPULL_REPOSITORY': 'a b'})
    t.check(ran.returncode == 1 and b'git clone --depth 1 a b plugpull-source' in ran.stdout and
            b'make -C plugpull-source -j2 all' in ran.stdout, 'it is fetched and built', ran.stdout)


def check_shell(t, plugpull, root):
    """shellcheck has nothing to say about any step."""
    project = new_project(t, plugpull, root)
    with open(ACTION, encoding='utf-8') as f:
        scripts = [step['run'] for step in yaml.safe_load(f)['runs']['steps']]
    with open(os.path.join(project, 'durability', 'gitlab-ci.yml'), encoding='utf-8') as f:
        scripts.append('\n'.join(yaml.safe_load(f)['durability']['script']))
    for script in scripts:
        t.check('${{' not in script, 'no expression inside a script: it would be run', script)
        try:
            ran = subprocess.run(['shellcheck', '-s', 'bash', '-'], input=script.encode(),
                                 stdout=subprocess.PIPE, timeout=60)
            t.check(ran.returncode == 0, 'shellcheck', ran.stdout.decode())
        except FileNotFoundError:
            t.check(False, 'shellcheck is not installed (sh .ci/bootstrap)')


def check_page(t, plugpull, root):
    """docs/ci.md shows what `init` writes, and a gate of ten lines whose inputs there are."""
    project = new_project(t, plugpull, root)
    with open(PAGE, encoding='utf-8') as f:
        page = f.read()
    for name in ('.github/workflows/durability.yml', 'durability/gitlab-ci.yml'):
        with open(os.path.join(project, name), encoding='utf-8') as f:
            t.check(f'```yaml\n{f.read()}```\n' in page, f'docs/ci.md shows {name} as it is', '')
    blocks = re.findall(r'```yaml\n(.*?)```', page, re.S)
    short = [b for b in blocks if len(b.splitlines()) <= 10 and 'actions/plugpull@' in b]
    t.same('docs/ci.md has a gate of ten lines', 1, len(short))
    with open(ACTION, encoding='utf-8') as f:
        action = yaml.safe_load(f)
    step = next(s for s in yaml.safe_load(short[0]) if 'actions/plugpull@' in s['uses'])
    t.same('... with inputs that there are', set(), set(step['with']) - set(action['inputs']))
    for name in [*action['inputs'], *action['outputs']]:
        t.check(f'| `{name}` |' in page, f'docs/ci.md says what {name} is', '')


def check_build(t, plugpull, root):
    """With no plugpull anywhere, the action builds the source that it came with."""
    source = os.path.join(root, 'source')
    listed = subprocess.run(['git', 'ls-files', '-co', '--exclude-standard', '-z'], cwd=TOP,
                            stdout=subprocess.PIPE, check=True).stdout.decode().split('\0')
    for name in filter(None, listed):
        path = os.path.join(TOP, name)
        if os.path.exists(path):
            os.makedirs(os.path.dirname(os.path.join(source, name)), exist_ok=True)
            shutil.copy2(path, os.path.join(source, name))
    project = new_project(t, plugpull, root)
    job = Job(project, {'PATH': os.environ['PATH'], 'HOME': project,
                        'TEST_ACTION_PATH': os.path.join(source, '.github/actions/plugpull')})
    ended = job.action({})
    t.same('the action builds plugpull and runs it', 0, ended.code)
    t.check('# plugpull run: held' in ended.summary, 'its summary', ended.log[-2000:])
    t.check(os.path.exists(os.path.join(source, 'build', 'plugpull')), 'what it built', '')


def main():
    if len(sys.argv) not in (2, 3) or sys.argv[2:] not in ([], ['--build']):
        print(__doc__, file=sys.stderr)
        return 2
    t = Counter()
    plugpull = os.path.abspath(sys.argv[1])
    root = tempfile.mkdtemp(prefix='plugpull-gate-')
    checks = (check_build,) if sys.argv[2:] else (check_action, check_workflow, check_gitlab,
                                                  check_shell, check_page)
    try:
        for check in checks:
            try:
                check(t, plugpull, root)
            except Exception as e:  # pylint: disable=broad-except
                t.check(False, f'{check.__name__} runs to its end', repr(e))
    finally:
        shutil.rmtree(root, ignore_errors=True)
    print(f'{t.passed} passed, {t.failed} failed')
    return 1 if t.failed or not t.passed else 0


if __name__ == '__main__':
    sys.exit(main())

#!/usr/bin/env python3
"""What docs/models.md, docs/findings.md and docs/disk-model.md say of the disk models is what happens.

    models_test.py PLUGPULL           from the top of the tree
    models_test.py PLUGPULL --write   brings the tokens in docs/findings.md up to date
    models_test.py PLUGPULL --long    the tables with sectors of 512 bytes, too, and with the size
                                      that comes with the data on ext4; a minute more

Checks: every preset has a scenario that survives on it and one that loses because of it, both named
in docs/models.md; the tables of parameters; the recipe for a model of one's own; the combinations
that are refused; the tables of journal mode and synchronous, cell by cell, with an explanation for
each cell, and the tokens under them.

Does not check whether an explanation is true, nor where a preset's values come from.
"""
import json
import os
import re
import subprocess
import sys
import tempfile

PAIRS = 'scenarios/models'
MODELS, FINDINGS, RULES = 'docs/models.md', 'docs/findings.md', 'docs/disk-model.md'
GRADES = ['corrupt', 'torn', 'consistent', 'durable']
JOURNALS = ['delete', 'truncate', 'persist', 'memory', 'off', 'wal']
LEVELS = ['extra', 'full', 'normal', 'off']
TOKEN = re.compile(r'pp1-[0-9a-f]{32}')
SMALL = '-- @scenario s\n{}-- @setup\nCREATE TABLE t(x);\n-- @client a\nINSERT INTO t VALUES (1);\n'


def read(path):
    with open(path, encoding='utf-8') as f:
        return f.read()


def section(text, heading):
    """The part of a page below a heading, up to the next one of its level or above."""
    level = len(heading) - len(heading.lstrip('#'))
    found = re.search(rf'^{re.escape(heading)}[^\n]*\n(.*?)(?=^#{{1,{level}}} |\Z)', text, re.S | re.M)
    return found.group(1) if found else ''


def rows(text):
    """The cells of every row of the tables in a text, without the rules under their heads."""
    lines = [line.strip()[1:-1] for line in text.splitlines() if line.strip().startswith('|')]
    return [[cell.strip() for cell in line.split('|')] for line in lines
            if not re.fullmatch(r'[-| :]+', line)]


class Test:
    def __init__(self, plugpull):
        self.plugpull = os.path.abspath(plugpull)
        self.work = tempfile.TemporaryDirectory(prefix='plugpull-models-')
        self.passed = self.failed = 0

    def check(self, good, what, found=''):
        if good:
            self.passed += 1
        else:
            self.failed += 1
            print(f'FAILED: {what}\n        {found}'.rstrip())

    def run(self, *args):
        return subprocess.run([self.plugpull, *args], cwd=self.work.name, capture_output=True,
                              text=True, timeout=250)

    def cases(self, *args):
        """The cases of `run`, and whether all of them held."""
        ran = self.run('run', *args, '--json', '-')
        try:
            return ran.returncode == 0, json.loads(ran.stdout)['cases']
        except ValueError:
            self.check(False, f'run {args} has a result', ran.stderr[-500:])
            return False, []

    def small(self, directives, *args):
        path = os.path.join(self.work.name, 'small.sql')
        with open(path, 'w', encoding='utf-8') as f:
            f.write(SMALL.format(directives))
        return self.run('run', path, *args)


def presets(t):
    """{name: {parameter: value}} as `list models` prints them; a process crash has none."""
    found = {}
    for line in t.run('list', 'models').stdout.partition('\n\n')[0].splitlines():
        if not line.startswith(' '):
            name = line
        elif line.startswith('  parameters: '):
            found[name] = dict(re.findall(r'(\S+)=(\S+)', line))
    return found


def check_pairs(t, names):
    """Each preset's pair. The survivor may lose commits where the preset keeps none, and is never
    torn. The loser does better in another case of its file, on a disk or at a setting without the
    rule that it is about."""
    held, cases = t.cases(os.path.abspath(PAIRS))
    t.check(held, f'every expectation below {PAIRS} holds',
            [c['id'] for c in cases if c['verdict'] != 'held'])
    page = read(MODELS)
    for name in names:
        grades = {}
        for kind in ('survives', 'loses'):
            file = f'{name}-{kind}'
            of = [c for c in cases if c['scenario'].endswith(file) or c['id'].startswith(f'{file}@')]
            grades[kind] = [GRADES.index(c['grade']) for c in of if c['model'] == name]
            grades[kind + ', others'] = [GRADES.index(c['grade']) for c in of]
            t.check(of and grades[kind], f'{PAIRS}/{file}.sql is explored under {name}')
            t.check(f'{file}.sql' in section(page, f'## {name}'),
                    f'{MODELS} names {file}.sql under its preset')
        if grades['survives'] and grades['loses']:
            t.check(min(grades['survives']) >= GRADES.index('consistent'),
                    f'{name}-survives.sql survives', grades['survives'])
            t.check(max(grades['loses, others']) > min(grades['loses']),
                    f'{name}-loses.sql does better somewhere else', grades)


def check_parameters(t, names):
    """The table of parameters; its head names them."""
    for path in (MODELS, RULES):
        table = rows(section(read(path), '## Presets'))
        head = [cell.strip('*') for cell in table[0]] if table else []
        said = {row[0].strip('`'): dict(zip(head[1:], row[1:])) for row in table[1:]}
        real = {name: values or dict.fromkeys(head[1:], '-') for name, values in names.items()}
        t.check(said == real, f'{path}: the table of presets is what `list models` prints',
                {n: (said.get(n), real.get(n)) for n in set(said) | set(real)
                 if said.get(n) != real.get(n)})


def check_recipe(t):
    examples = re.findall(r'```sql\n(.*?)```', read(MODELS), re.S)
    t.check(bool(examples), f'{MODELS} has a recipe')
    for number, text in enumerate(examples):
        path = os.path.join(t.work.name, f'recipe-{number + 1}.sql')
        with open(path, 'w', encoding='utf-8') as f:
            f.write(text)
        ran = t.run('run', path)
        t.check(ran.returncode == 0 and '@define-model' in text, f'recipe {number + 1} of {MODELS}',
                ran.stdout + ran.stderr)


def check_refused(t):
    """What excludes each other is refused where it is defined, for the reason that the page gives,
    and passed over where it comes from a matrix."""
    table = rows(section(read(RULES), '## Combinations that are refused'))[1:]
    t.check(len(table) >= 12, f'{RULES} lists the combinations that are refused', len(table))
    for this, other, reason in table:
        settings = [cell.strip('`') for cell in (this, other)]
        ran = t.small(f'-- @define-model m {" ".join(settings)}\n')
        t.check(ran.returncode == 2 and 'small.sql:2: ' in ran.stderr and
                f'{settings[0]} and {settings[1]} do not go together: {reason}' in ran.stderr,
                f'{RULES}: {settings}', ran.stderr)
    ran = t.small('', '--model', 'xfs', '--set', 'model.hole=stale')
    t.check(ran.returncode == 4 and ran.stdout.startswith('skipped'), 'a case of such is skipped',
            ran.stdout)


def check_modes(t, names, write):
    """The tables of findings.md. A cell is 'grade A' or 'grade, N A': N acknowledged commits at
    most, A the explanation, which names its grade."""
    _, cases = t.cases(os.path.abspath(f'{PAIRS}/modes.sql'), '--model', ','.join(names))
    real = {(c['model'], c['config']['journal_mode'], c['config']['synchronous']): c for c in cases}
    page = section(read(FINDINGS), '## 14.')
    reasons = dict(re.findall(r'^\*\*([A-Z]\d*)\*\*,? (durable|consistent|torn|corrupt)', page, re.M))
    used, tabled = set(), set()
    for heading in re.findall(r'^#### .*', page, re.M):
        table = rows(section(page, heading))
        head = table[0][1:] if table else []
        for name in re.findall(r'`([a-z0-9-]+)`', heading):
            for journal, *cells in table[1:]:
                for level, cell in zip(head, cells):
                    key = (name, journal.strip('`'), level)
                    case = real.get(key, {'grade': None, 'lost_acked_max': None})
                    said = re.fullmatch(r'(\w+)(?:, (\d+))? ([A-Z]\d*)', cell)
                    expected = case['grade']
                    if expected == 'consistent':
                        expected += f', {case["lost_acked_max"]}'
                    t.check(said and cell.rpartition(' ')[0] == expected and
                            reasons.get(said.group(3)) == case['grade'],
                            f'{FINDINGS}: {key} is {cell}', f'found {expected}')
                    tabled.add(key)
                    used.update(said.group(3) if said else '')
    t.check(tabled == {(n, j, s) for n in names for j in JOURNALS for s in LEVELS},
            f'{FINDINGS}: every preset has its 24 cells', len(tabled))
    t.check(used == set(reasons), f'{FINDINGS}: every explanation is used', used ^ set(reasons))
    check_tokens(t, cases, page, write)


def check_other_settings(t, names, long):
    """What findings.md says beside the tables: the grades are the same with these settings."""
    path = os.path.abspath(f'{PAIRS}/modes.sql')
    settings = []
    if long:
        settings.append(('ext4-ordered', 'model.size-after-data=no'))
        settings.append((','.join(n for n in names if names[n]), 'model.sector=512'))
    for models, setting in settings:
        held, cases = t.cases(path, '--model', models, '--set', setting)
        t.check(held and len(cases) == 24 * len(models.split(',')),
                f'{FINDINGS}: the same grades with {setting}',
                [c['id'] for c in cases if c['verdict'] != 'held'])


def check_tokens(t, cases, page, write):
    """The rows of the table of tokens: a case, and the token of its worst finding."""
    real = {c['id']: c['violations'][0]['token'] for c in cases if c['violations']}
    table = [row for row in rows(page) if row[0].startswith('`modes@')]
    t.check(len(table) >= 8, f'{FINDINGS} has tokens', len(table))
    text = read(FINDINGS)
    for case, token, *_ in table:
        new, old = real.get(case.strip('`'), ''), token.strip('`')
        t.check(TOKEN.fullmatch(old) and old == new, f'{FINDINGS}: the token of {case}',
                f'{old} should be {new}; models_test.py --write brings it up to date')
        if write and new and old:
            text = text.replace(old, new)
    if write:
        with open(FINDINGS, 'w', encoding='utf-8') as f:
            f.write(text)


def main():
    if len(sys.argv) < 2 or sys.argv[2:] not in ([], ['--write'], ['--long']):
        print(__doc__, file=sys.stderr)
        return 2
    t = Test(sys.argv[1])
    names = presets(t)
    t.check(len(names) == 10, 'ten presets', list(names))
    check_pairs(t, names)
    check_parameters(t, names)
    check_recipe(t)
    check_refused(t)
    check_modes(t, names, sys.argv[2:] == ['--write'])
    check_other_settings(t, names, sys.argv[2:] == ['--long'])
    print(f'{t.passed} passed, {t.failed} failed')
    return 1 if t.failed or not t.passed else 0


if __name__ == '__main__':
    sys.exit(main())

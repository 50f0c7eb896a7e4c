"""`compare`: what it reads, what is worse, exit codes, JSON."""
import json
import os
import re

from scenarios import LOSES, ROWS

GRID = ROWS + '-- @matrix synchronous=full,extra cache_size=10,20\n'
KEYS = {'plugpull', 'format', 'command', 'verdict', 'base', 'new', 'differences', 'counts', 'cases'}
CASE = {'id', 'result', 'worse', 'changes', 'verdict', 'grade', 'tokens'}


def results(t, **texts):
    """A folder with a report for each scenario text, all of them of f.sql."""
    folder = t.folder()
    for name, (text, *args) in texts.items():
        t.write(folder, 'f.sql', text)
        t.run('run', 'f.sql', '--report', name, '--json', f'{name}.json', *args, cwd=folder)
    return folder


def check_ends(t):
    folder = results(t, good=(ROWS,), bad=(LOSES,))
    for base, new, code, kind in (('good', 'good', 0, 'same'), ('bad', 'bad', 0, 'same'),
                                  ('good', 'bad', 1, 'worse'), ('bad', 'good', 0, 'better')):
        for ending in ('', '.json'):
            ran = t.run('compare', base + ending, new + ending, '--json', '-', cwd=folder)
            got = ran.json()
            t.same(f'compare {base} {new}{ending}', ran,
                   (code, {'held': 0, 'violated': 1}[got['verdict']], 1),
                   (ran.code, code, got['counts'][kind]))
    ran = t.run('compare', 'good', 'bad', cwd=folder)
    token = json.load(open(os.path.join(folder, 'bad.json'), encoding='utf-8'))['cases'][0][
        'violations'][0]['token']
    t.check(ran.out.startswith('worse         f@strict-posix\n') and
            f'plugpull replay bad/cases/{token}.ppcase\n' in ran.out, 'compare in words', ran,
            'the case, and how to see it', ran.out)
    replayed = t.run('replay', f'bad/cases/{token}.ppcase', cwd=folder)
    t.code('... and that command shows it', replayed, 1)
    ran = t.run('compare', 'good', 'bad.json', cwd=folder)
    t.has('of a JSON file the token alone', ran, f'plugpull replay {token}\n', ran.out)
    ran = t.run('compare', 'good', 'good', '-q', cwd=folder)
    t.same('-q: nothing where nothing is worse', ran, (0, ''), (ran.code, ran.out))
    ran = t.run('compare', 'good', 'bad', '-q', cwd=folder)
    t.check(ran.code == 1 and 'f@strict-posix' in ran.out and 'no worse' not in ran.out,
            '-q: what is worse', ran, 'the case', ran.out)
    ran = t.run('compare', 'good', 'bad', '--color', 'always', cwd=folder)
    t.has('--color', ran, '\033[31mworse\033[0m', ran.out)
    ran = t.run('compare', 'good', 'bad', '--json', 'c.json', cwd=folder)
    with open(os.path.join(folder, 'c.json'), encoding='utf-8') as f:
        t.same('--json FILE beside the text', ran, (1, 'worse', True),
               (ran.code, json.load(f)['cases'][0]['result'], ran.out.startswith('worse')))


def check_json(t):
    folder = results(t, good=(ROWS,), bad=(LOSES, '--seed', '2'))
    ran = t.run('compare', 'good', 'bad', '--json', '-', cwd=folder)
    got = ran.json()
    t.same('the keys of a comparison', ran, KEYS, set(got))
    t.same('the keys of a case', ran, CASE, set(got['cases'][0]))
    t.same('format and command', ran, (1, 'compare'), (got['format'], got['command']))
    t.check(any(c['what'] == 'grade' and (c['base'], c['new'], c['change']) ==
                ('durable', 'consistent', 'worse') for c in got['cases'][0]['changes']),
            'what changed', ran, 'grade', got['cases'][0]['changes'])
    t.same('the token of what is new', ran, 1, len(got['cases'][0]['tokens']))
    t.check({'what': 'seed', 'base': '1', 'new': '2'} in got['differences'],
            'another seed is said', ran, 'seed', got['differences'])
    plain = t.run('compare', 'good', 'bad', cwd=folder)
    t.has('... in words, too', plain, 'note: seed: 1 before, 2 now\n', plain.out)
    again = t.run('compare', 'good', 'bad', '--json', '-', cwd=folder)
    t.same('compare twice', again, ran.out, again.out)
    t.same('keys are sorted', ran, ran.out,
           json.dumps(got, indent=2, sort_keys=True, ensure_ascii=False) + '\n')


def check_presence(t):
    folder = results(t, all=(GRID,), some=(GRID, '--case', '*synchronous=full]'), none=(GRID, '--case', 'x'))
    ran = t.run('compare', 'all', 'some', '--json', '-', cwd=folder)
    t.same('cases that are gone are worse', ran, (1, 2, 2),
           (ran.code, ran.json()['counts']['disappeared'], ran.json()['counts']['same']))
    ran = t.run('compare', 'some', 'all', '--json', '-', cwd=folder)
    t.same('new ones that hold are not', ran, (0, 2),
           (ran.code, ran.json()['counts']['appeared']))
    ran = t.run('compare', 'none', 'all', cwd=folder)
    t.same('an empty baseline', ran, 0, ran.code)
    folder = results(t, none=(LOSES, '--case', 'x'), bad=(LOSES,))
    ran = t.run('compare', 'none', 'bad', cwd=folder)
    t.check(ran.code == 1 and 'note: models: none before, strict-posix now\n'
            'appeared      f@strict-posix' in ran.out,
            'a new one that does not hold is worse', ran, 'exit 1, appeared', ran.out)


def check_refused(t):
    folder = results(t, good=(ROWS,))
    with open(os.path.join(folder, 'good.json'), encoding='utf-8') as f:
        text = f.read()
    for name, content in (('future', text.replace('"format": 1', '"format": 2')),
                          ('cut', text[:200]), ('empty', ''), ('list', '[]'),
                          ('other', '{"format": 1}'),
                          ('grade', text.replace('"grade": "durable"', '"grade": "good"')),
                          ('count', text.replace('"commits": ', '"commits": -')),
                          ('verdict', text.replace('"verdict": "held"', '"verdict": "fine"')),
                          ('id', re.sub('"id": "[^"]*"', '"id": 5', text))):
        t.check(content != text, f'{name} is damaged', None, 'another text', text[:200])
        t.write(folder, name, content)
        t.refused(f'compare with a {name} result', t.run('compare', 'good', name, cwd=folder), name)
        t.refused(f'compare with a {name} base', t.run('compare', name, 'good', cwd=folder), name)
    os.mkdir(os.path.join(folder, 'folder'))
    for args, parts in ((['good'], ['BASE and NEW']), (['a', 'b', 'c'], ["'c'"]),
                        (['good', 'nosuch'], ['nosuch']),
                        (['good', 'folder'], ['folder/result.json']),
                        (['good', 'good', '--json', 'folder'], ['--json'])):
        ran = t.run('compare', *args, cwd=folder)
        t.check(ran.code == 2 and all(p in ran.err for p in parts), f'compare {args}', ran,
                f'exit 2, {parts}', ran.err)


def check_commands(t):
    """Results of each command can be compared, and a mutation score counts."""
    folder = t.scenario(ROWS)
    t.run('mutate', 'f.sql', '--json', 'base', cwd=folder)
    t.run('mutate', 'f.sql', '--json', 'small', '--budget', '60r', cwd=folder)
    ran = t.run('compare', 'base', 'small', cwd=folder)
    t.check(ran.code == 1 and '  worse   mutants: ' in ran.out, 'a lower mutation score is worse',
            ran, 'exit 1, mutants', ran.out)
    t.run('matrix', 'f.sql', '--json', 'matrix', '--set', 'journal_mode=wal', cwd=folder)
    ran = t.run('compare', 'matrix', 'matrix', cwd=folder)
    t.same('matrix', ran, 0, ran.code)
    t.run('kill', 'f.sql', '--json', 'kill', '--budget', '2r', cwd=folder)
    ran = t.run('compare', 'base', 'kill', cwd=folder)
    t.check(ran.code == 1 and 'note: command: mutate before, kill now\n' in ran.out and
            'disappeared' in ran.out, 'another command is said', ran, 'command', ran.out)


def check(t):
    for part in (check_ends, check_json, check_presence, check_refused, check_commands):
        t.part(part)

"""`mutate`: names, results and score, @redundant, exit codes."""
import json
import os
import re
import xml.etree.ElementTree

from scenarios import SETUP

RESULTS = {'caught', 'redundant', 'missed'}
BASE = '-- @scenario a log\n-- @pragma journal_mode=wal synchronous=full\n{}' + SETUP + \
    '-- @client c repeat=3\nINSERT INTO t VALUES (:i);\n'
JOURNAL = BASE.replace('journal_mode=wal', 'journal_mode=delete').replace('=full', '=extra')
NAME = re.compile(r'^(sync [^ ]+ #[1-9][0-9]*|dirsync [^ ]+ #[1-9][0-9]*|defect [a-z-]+)$')


def mutate(t, text, *args):
    return t.run('mutate', 'f.sql', *args, cwd=t.scenario(text))


def mutate_json(t, text, *args):
    return mutate(t, text, '--json', '-', *args)


def mutants(case):
    return {m['name']: m for m in case['mutants']}


def check_json(t):
    ran = mutate_json(t, BASE.format(''))
    case = ran.case()
    t.same('mutate of a sound scenario', ran, (0, 'held', 'durable', 'mutate'),
           (ran.code, case['verdict'], case['grade'], ran.json()['command']))
    found = case['mutants']
    t.check(all(NAME.match(m['name']) and m['kind'] == m['name'].split()[0].replace('dir', '') and
                m['result'] in RESULTS and m['recoveries'] > 0 and
                (m['found'] is not None) == (m['result'] == 'caught') for m in found),
            'what a mutant says of itself', ran, 'name, kind, result, recoveries, found', found)
    t.same('a mutant has one name', ran, len(found), len(mutants(case)))
    count = {r: sum(m['result'] == r for m in found) for r in RESULTS}
    t.same('the score of the case and of the run', ran, (count, count),
           (case['score'], ran.json()['score']))
    t.check(count['caught'] >= 4 and count['missed'] == 0, 'forgotten syncs are noticed', ran,
            'some caught, none missed', count)
    t.check(all(m['recoveries'] <= 100 for m in found if m['result'] == 'caught'),
            '... within 100 recoveries', ran, '<= 100', [m['recoveries'] for m in found])
    for kind, name in (('sync', 'defect missing-commit-sync'), ('dirsync', 'dirsync db #1')):
        t.check(mutants(case).get(name, {}).get('result') == 'caught', f'{name} is noticed', ran,
                'caught', kind)
    again = mutate_json(t, BASE.format(''))
    t.same('mutate twice', again, ran.out, again.out)
    plain = t.run_text(BASE.format(''))
    t.check('mutants' not in plain.case() and 'score' not in plain.json(), 'run has no mutants',
            plain, 'no mutants', plain.json().keys())


def check_redundant(t):
    """A list of redundant mutants is right when it is neither too short nor too long."""
    ran = mutate_json(t, BASE.format(''))
    found = mutants(ran.case())
    needless = [f'"{n}"' for n, m in found.items() if m['result'] == 'redundant']
    needed = next(n for n, m in found.items() if m['result'] == 'caught')
    t.check(needless, 'something is redundant', ran, 'a mutant', needless)
    exact = BASE.format('-- @redundant ' + ' '.join(needless) + ' if model=strict-posix\n')
    ran = mutate_json(t, exact)
    t.same('the exact list', ran, (0, 'held', len(needless)),
           (ran.code, ran.case()['verdict'], ran.case()['score']['redundant']))
    ran = mutate_json(t, BASE.format('-- @redundant none\n'))
    t.same('a list that is too short', ran, (1, 'violated', len(needless)),
           (ran.code, ran.case()['verdict'], ran.case()['score']['missed']))
    t.check('missed' in ran.case()['reason'] and needless[0].strip('"') in ran.case()['reason'],
            '... and why', ran, 'missed', ran.case()['reason'])
    ran = mutate(t, BASE.format('-- @redundant none\n'))
    t.check(ran.code == 1 and all(n.strip('"') in ran.out for n in needless),
            'what was missed is named', ran, needless, ran.out)
    ran = mutate(t, BASE.format('-- @redundant ' + ' '.join(needless) + f' "{needed}"\n'),
                     '--json', '-')
    t.same('a list that is too long', ran, (1, 'violated', 0),
           (ran.code, ran.case()['verdict'], ran.case()['score']['missed']))
    t.has('... names what is needed', ran, needed, ran.case()['reason'])
    for name in ('sync main.db-wal #99', 'sync nosuch #1', 'defect missing-commit-sync'):
        extra = ' '.join(needless) + f' "{name}"'
        ran = mutate_json(t, BASE.format(f'-- @redundant {extra}\n'))
        t.check(ran.code == 1 and name in ran.case()['reason'], f'{name} in a list', ran,
                f'exit 1, {name}', (ran.code, ran.case()['reason']))
    ran = mutate_json(t, BASE.format('-- @redundant none if model=xfs\n'))
    t.same('a list for another model says nothing', ran, 0, ran.code)
    ran = mutate(t, BASE.format('-- @redundant none\n'), '--set', 'wal_autocheckpoint=2')
    t.same('... nor does one where --set changes the case', ran, 0, ran.code)
    for text, said in (('', 'is written'), ('if model=xfs', 'without a name'),
                       ('none if', 'without a condition'), ('"sync a.db"', 'a name'),
                       ('"sync a.db #0"', 'a name'), ('"sync a.db #4-3"', 'a name'),
                       ('"defect nosuch"', 'unknown defect'), ('none if nosuch=1', 'nosuch'),
                       ('none if model=nosuch', 'unknown model')):
        ran = mutate(t, BASE.format(f'-- @redundant {text}\n'))
        t.check(ran.code == 2 and 'f.sql:3: ' in ran.err and said in ran.err,
                f'@redundant {text} is refused', ran, f'exit 2, {said}', (ran.code, ran.err))


def check_place(t):
    """A run that may lose its last commit does not excuse the loss of one elsewhere."""
    rows = JOURNAL.replace('=extra', '=full').replace(':i', 'zeroblob(5000)').format('')
    ran = mutate_json(t, rows, '--require', 'consistent')
    found = mutants(ran.case())
    wanted = {n: 'caught' for n in found if n.startswith('sync main.db #')}
    t.check(len(wanted) == 3 and all(found[n]['result'] == 'caught' for n in wanted),
            'DELETE at FULL needs the sync of the database', ran, wanted,
            {n: found[n]['result'] for n in wanted})


def check_ends(t):
    ran = mutate_json(t, JOURNAL.format(''))
    t.check(ran.code == 0 and any(n.startswith('dirsync') and m['result'] == 'caught'
                                  for n, m in mutants(ran.case()).items()),
            'the directory sync of EXTRA is needed', ran, 'a caught dirsync', ran.out)
    ran = mutate(t, BASE.format(''), '--model', 'process-crash,lying-disk', '--require', 'corrupt',
                     '--json', '-')
    kinds = [{m['kind'] for m in c.get('mutants', [])} for c in ran.json()['cases']]
    t.same('where no sync matters', ran, (0, ['held', 'held'], [{'defect'}, {'defect'}]),
           (ran.code, [c['verdict'] for c in ran.json()['cases']], kinds))
    ran = mutate_json(t, BASE.format('-- @plant missing-commit-sync\n'), '--require', 'corrupt')
    t.same('a scenario with a defect of its own', ran, (4, 'skipped'),
           (ran.code, ran.case()['verdict']))
    ran = mutate_json(t, BASE.replace('=full', '=normal').format(''))
    t.same('a scenario that does not hold is not mutated', ran, (1, 'violated', []),
           (ran.code, ran.case()['verdict'], ran.case().get('mutants', [])))
    t.check(any('not mutated' in note for note in ran.case()['notes']), '... and says so', ran,
            'a note', ran.case())
    large = BASE.replace('=full', '=normal wal_autocheckpoint=4').replace(':i', 'zeroblob(5000)')
    ran = mutate_json(t, large.format(''), '--require', 'consistent')
    t.check(ran.code == 0 and ran.case()['score']['caught'] >= 2,
            'what loses commits can still be made worse', ran, 'caught', ran.case().get('score'))
    ran = mutate_json(t, BASE.format(''), '--budget', '60r')
    t.same('a budget', ran, (4, 'inconclusive'), (ran.code, ran.case()['verdict']))
    for option in ('--jobs', '--depth', '--resume'):
        ran = mutate(t, BASE.format(''), option, '1')
        t.same(f'mutate has no {option}', ran, 2, ran.code)
    ran = mutate(t, BASE.format(''), '-v')
    t.check('caught    sync main.db-wal #' in ran.out and 'mutants: ' in ran.out.splitlines()[-1],
            'mutants in words', ran, 'each with -v, and the score', ran.out)


def check_report(t):
    folder = t.scenario(BASE.format(''))
    ran = t.run('mutate', 'f.sql', '--report', 'out', cwd=folder)
    t.same('mutate with a report', ran, 0, ran.code)
    with open(os.path.join(folder, 'out', 'result.json'), encoding='utf-8') as f:
        s = json.load(f)['score']
    words = f'{s["caught"]} caught, {s["redundant"]} redundant, {s["missed"]} missed'
    with open(os.path.join(folder, 'out', 'summary.md'), encoding='utf-8') as f:
        text = f.read()
    t.check(text.count(words) == 2, 'the score in the summary', ran, words, text)
    junit = xml.etree.ElementTree.parse(os.path.join(folder, 'out', 'junit.xml'))
    t.check(words in ''.join(e.text for e in junit.iter('system-out')), 'the score in JUnit', ran,
            words, 'junit.xml')
    t.check(words in ran.out, 'the score on the terminal', ran, words, ran.out)


def check(t):
    check_json(t)
    check_redundant(t)
    check_place(t)
    check_ends(t)
    check_report(t)

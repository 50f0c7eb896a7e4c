"""Exit codes, JSON, tokens and case files, report folders."""
import glob
import json
import os
import re
import shutil
import stat
import struct
import xml.etree.ElementTree

import files
from scenarios import ALLOWED, ARCHIVE, LOSES, ROWS, SETUP, WAL
from tool import sorted_pairs

GRADES = ('durable', 'consistent', 'torn', 'corrupt')
TOP = {'plugpull': str, 'format': int, 'command': str, 'seed': int, 'sqlite': dict, 'verdict': str,
       'cases': list}
CASE = {'id': str, 'scenario': str, 'model': (str, type(None)), 'config': dict, 'verdict': str,
        'reason': (str, type(None)), 'grade': (str, type(None)), 'required': (str, type(None)),
        'expected': (str, type(None)), 'exhaustive': bool, 'crash_points': int, 'recoveries': int,
        'states': (str, type(None)), 'commits': int, 'lost_acked_max': int, 'not_applicable': list,
        'violations': list}
VIOLATION = {'oracle': str, 'grade': (str, type(None)), 'message': str, 'token': (str, type(None))}
TOKEN = re.compile(r'pp1-[A-Za-z0-9_.+-]{1,116}')
REPORT = ['annotations.txt', 'cases', 'index.html', 'junit.xml', 'result.json', 'summary.md']


def wrong_in(value, shape, optional=()):
    """What is wrong with an object of this shape: missing and unknown keys, other types."""
    if not isinstance(value, dict):
        return [f'{value!r} is no object']
    wrong = [f'no {k}' for k in sorted(set(shape) - set(value))]
    wrong += [f'{k} is unknown' for k in sorted(set(value) - set(shape) - set(optional))]
    for key, kind in shape.items():
        kinds = kind if isinstance(kind, tuple) else (kind,)
        if key in value and type(value[key]) not in kinds:
            wrong.append(f'{key} is {value[key]!r}')
    return wrong


def wrong_in_result(text, command, case_optional=()):
    """Everything about a result's form that is not as the contract says."""
    result = json.loads(text, object_pairs_hook=sorted_pairs)
    wrong = wrong_in(result, TOP, ('interrupted',))
    wrong += wrong_in(result.get('sqlite'), {'version': str, 'source_id': str})
    if (result.get('format'), result.get('command')) != (1, command):
        wrong.append('format or command')
    if not re.fullmatch(r'\d+\.\d+\.\d+', result.get('plugpull', '')):
        wrong.append('plugpull')
    if result.get('verdict') not in ('held', 'violated', 'inconclusive', 'error'):
        wrong.append('verdict')
    if not text.endswith('}\n'):
        wrong.append('no newline at the end')
    for case in result.get('cases', []):
        wrong += wrong_in(case, CASE, ('notes', 'lint', *case_optional))
        wrong += [f'{k} is {case.get(k)!r}' for k in ('grade', 'required', 'expected')
                  if case.get(k) not in (*GRADES, None)]
        if case.get('verdict') not in ('held', 'violated', 'inconclusive', 'error', 'skipped'):
            wrong.append(f'verdict is {case.get("verdict")!r}')
        if case.get('states') is not None and not re.fullmatch(r'\d+', case['states']):
            wrong.append(f'states is {case["states"]!r}')
        if not all(isinstance(v, str) for v in case.get('config', {}).values()):
            wrong.append('config')
        if not all(isinstance(n, str) for n in case.get('notes', [])) or case.get('notes') == []:
            wrong.append('notes')
        for violation in case.get('violations', []):
            wrong += wrong_in(violation, VIOLATION)
            if violation.get('token') and not TOKEN.fullmatch(violation['token']):
                wrong.append(f'token {violation["token"]!r}')
        for entry in case.get('lint', []):
            wrong += wrong_in(entry, {'rule': str, 'message': str, 'count': int})
        if case.get('lint') == []:
            wrong.append('lint')
        for entry in case.get('not_applicable', []):
            wrong += wrong_in(entry, {'oracle': str, 'reason': str})
    return wrong


def form(t, what, ran, text, command, case_optional=()):
    wrong = t.get(what, ran, lambda: wrong_in_result(text, command, case_optional))
    if wrong is not None:
        t.same(what, ran, [], wrong)


def check_exit_codes(t, no_wal):
    def result(text, *args, **more):
        ran = t.run_text(text, *args, **more)
        value = t.get('the JSON', ran, ran.json) or {'cases': [{}], 'verdict': None}
        return ran, (ran.code, value['verdict'], [c.get('verdict') for c in value['cases']])

    ran, got = result(ROWS)
    t.same('0: held', ran, (0, 'held', ['held']), got)
    ran, got = result(LOSES)
    t.same('1: violated', ran, (1, 'violated', ['violated']), got)
    ran, got = result(ROWS, '--budget', '1r')
    t.same('4: inconclusive', ran, (4, 'inconclusive', ['inconclusive']), got)
    both = ROWS + '-- @matrix synchronous=normal,full\n'
    ran, got = result(both, '--budget', '40r')
    t.same('1 wins over 4', ran, (1, 'violated', ['violated', 'inconclusive']), got)
    ran, got = result(ROWS + '-- @matrix synchronous=full,extra\n', '--budget', '80r')
    t.same('4 wins over 0', ran, (4, 'inconclusive', ['held', 'inconclusive']), got)
    ran, got = result(both)
    t.same('1 wins over 0', ran, (1, 'violated', ['violated', 'held']), got)
    folder = t.scenario(LOSES, 'b.sql', t.scenario(ROWS.replace('VALUES (:i)', 'NONE'), 'a.sql'))
    ran = t.run('run', '.', '--keep-going', '--json', '-', cwd=folder)
    t.same('3 wins over 1', ran, (3, 'error', ['error', 'violated']),
           (ran.code, ran.json()['verdict'], [c['verdict'] for c in ran.json()['cases']]))
    form(t, 'JSON of a case in error', ran, ran.out, 'run')
    ran, got = result(ROWS, env={'LD_PRELOAD': no_wal})
    t.same('4: all skipped', ran, (4, 'inconclusive', ['skipped']), got)
    case = t.get('the skipped case', ran, ran.case) or {}
    t.has('skipped with a reason', ran, 'journal_mode=wal', case.get('reason') or '')
    form(t, 'JSON of a skipped case', ran, ran.out, 'run')
    ran, got = result(ROWS + '-- @matrix journal_mode=wal,truncate\n', env={'LD_PRELOAD': no_wal})
    t.same('0: some skipped, the others held', ran, (0, 'held', ['skipped', 'held']), got)


def check_json(t):
    for text, args in ((ROWS, ()), (LOSES, ('--set', 'model.sector=512')), (ARCHIVE, ()),
                       (ALLOWED + '-- @invariant "never"\nSELECT 1 FROM nowhere;\n', ()),
                       (ROWS + '-- @models strict-posix process-crash lying-disk\n', ()),
                       (ROWS + '-- @expect torn\n', ()), (ROWS, ('--budget', '3r'))):
        ran = t.run_text(text, *args)
        form(t, 'JSON: keys, types, order', ran, ran.out, 'run')
        again = t.run_text(text, *args)
        t.same('JSON: the same bytes again', again, ran.out, again.out)
    ran = t.run_text(ROWS, '--timing')
    form(t, 'JSON with --timing', ran, ran.out, 'run', ('seconds',))
    folder = t.scenario(ROWS, 'sub/deep.sql')
    ran = t.run('run', '.', '--json', 'o.json', cwd=folder)
    with open(os.path.join(folder, 'o.json'), encoding='utf-8') as f:
        text = f.read()
    form(t, '--json FILE', ran, text, 'run')
    case = json.loads(text)['cases'][0]
    t.same('JSON: id, scenario, model, config', ran,
           ('sub/deep@strict-posix', 'sub/deep', 'strict-posix',
            {'journal_mode': 'wal', 'synchronous': 'full'}),
           tuple(case[k] for k in ('id', 'scenario', 'model', 'config')))
    t.same('JSON: of a held case', ran, ('held', None, 'durable', 'durable', None, True, 3, 0, []),
           tuple(case[k] for k in ('verdict', 'reason', 'grade', 'required', 'expected',
                                   'exhaustive', 'commits', 'lost_acked_max', 'violations')))
    mode = stat.S_IMODE(os.stat(os.path.join(folder, 'o.json')).st_mode)
    t.same('--json FILE: mode', ran, 0o600, mode)
    ran = t.run_text(LOSES)
    case = ran.case()
    t.same('JSON: of a violated case', ran, (3, 3, True),
           (case['commits'], case['lost_acked_max'], case['exhaustive']))
    t.check(int(case['states']) > case['recoveries'] > case['crash_points'] > 3,
            'JSON: fewer recoveries than states', ran, 'states > recoveries > points', case)


def check_lint(t):
    """The syncs that a trace lacks, beside the verdict: what SQLite leaves out at NORMAL, and what
    a program that forgets the directory would."""
    t.check('lint' not in t.run_text(ROWS).case(), 'a sound trace lacks no sync', None, 'no lint',
            'lint')
    ran = t.run_text(LOSES)
    found = ran.case().get('lint', [])
    t.same('WAL at NORMAL lacks the sync of each commit', ran, [('commit-before-ack', 3)],
           [(x['rule'], x['count']) for x in found])
    t.check(found and re.search(r'no sync of main\.db-wal between .* \(op \d+\) and .* \(op \d+\)$',
                                found[0]['message']),
            '... and it is named', ran, 'the file and two operations', found)
    shown = t.run('run', 'f.sql', cwd=t.scenario(LOSES)).out
    t.check(found and 'missing sync: ' + found[0]['message'] in shown, '... on the terminal', ran,
            'missing sync', shown)
    folder = t.scenario(LOSES)
    t.run('run', 'f.sql', '--report', 'out', cwd=folder)
    for name in ('summary.md', 'junit.xml'):
        with open(os.path.join(folder, 'out', name), encoding='utf-8') as f:
            text = f.read()
        t.check('missing sync: a commit was acknowledged' in text, f'... and in {name}', ran,
                'missing sync', text)
    ran = t.run_text(ROWS + '-- @plant directory-never-synced\n')
    t.check('log-name-before-ack' in [x['rule'] for x in ran.case().get('lint', [])],
            'a directory that is never synced', ran, 'log-name-before-ack', ran.case().get('lint'))


def losing(t, text=LOSES, *args):
    """Runs a scenario that loses: (folder, ran, token, path of the case file)."""
    folder = t.scenario(text)
    ran = t.run('run', 'f.sql', '--json', '-', *args, cwd=folder)
    token = ran.case()['violations'][0]['token']
    return folder, ran, token, os.path.join(folder, '.plugpull', 'cases', token + '.ppcase')


def check_tokens(t):
    folder, ran, token, path = losing(t)
    case = ran.case()
    t.check(TOKEN.fullmatch(token) and len(token) <= 120, 'token: pp1-, 120 shell-safe characters',
            ran, TOKEN.pattern, token)
    t.check(os.path.isfile(path), 'a case file below .plugpull/cases', ran, path, os.listdir(folder))
    t.same('case file: mode', ran, 0o600, stat.S_IMODE(os.stat(path).st_mode))
    t.same('the same finding has the same token', ran, token, losing(t)[2])

    ran = t.run('replay', token, '--json', '-', cwd=folder)
    form(t, 'replay: JSON', ran, ran.out, 'replay')
    t.same('replay TOKEN', ran, (1, 'violated', 'consistent', [token]),
           (ran.code, ran.case()['verdict'], ran.case()['grade'],
            [v['token'] for v in ran.case()['violations']]))
    for key in ('id', 'scenario', 'model', 'config', 'commits', 'lost_acked_max'):
        t.same(f'replay: {key} is that of the run', ran, case[key], ran.case()[key])
    ran = t.run('replay', token, cwd=folder)
    t.check(ran.code == 1 and ran.err == '' and 'history, consistent' in ran.out and
            'power fails here' in ran.out, 'replay on the terminal', ran,
            'the crash and the finding', ran.out)
    t.refused('a token that is in no folder', t.run('replay', token), token)
    elsewhere = t.folder()
    shutil.copy(path, os.path.join(elsewhere, 'renamed.ppcase'))
    for given in (path, './renamed.ppcase'):
        ran = t.run('replay', given, '--json', '-', cwd=elsewhere)
        t.same('replay of a file, from another folder', ran, (1, token),
               (ran.code, ran.case()['violations'][0]['token']))
    ran = t.run('replay', token, '--timing', '-v', '--color', 'always', cwd=folder)
    t.check(ran.code == 1 and '\033[' in ran.out and re.search(r'\d\.\d+ s\b', ran.out),
            'replay --timing -v --color', ran, 'seconds, in colour', ran.out)
    t.same('trace show TOKEN', ran, t.run('trace', 'show', path).out,
           t.run('trace', 'show', token, cwd=folder).out)

    folder, ran, token, _ = losing(t, LOSES, '--report', 'out')
    t.same('--report DIR: cases are there, and only there', ran, (True, False),
           (os.path.isfile(os.path.join(folder, 'out', 'cases', token + '.ppcase')),
            os.path.exists(os.path.join(folder, '.plugpull'))))
    t.code('replay of a case in a report', t.run('replay', f'out/cases/{token}.ppcase', cwd=folder),
           1)
    folder, ran, token, path = losing(t, ALLOWED)
    t.same('a finding of a held case has a token, too', ran, (0, 1),
           (ran.code, t.run('replay', token, cwd=folder).code))
    for model in ('process-crash', 'lying-disk'):
        text = WAL.replace('wal', 'memory') + SETUP + '-- @client a repeat=2\n' \
            "BEGIN;\nINSERT INTO t VALUES (zeroblob(9000));\nUPDATE t SET x = ':i';\nCOMMIT;\n"
        folder, ran, token, path = losing(t, text, '--model', model)
        t.same(f'replay under {model}', ran, (1, 1), (ran.code, t.run('replay', path).code))


def check_forged_cases(t):
    """Case files that are whole and say something else."""
    _, _, _, path = losing(t)
    with open(path, 'rb') as f:
        whole = f.read()
    content, trace = files.split_case(whole)
    folder = t.folder()

    def replay(name, *args, keep=trace, **changes):
        changed = json.loads(json.dumps(content))
        for key, value in changes.items():
            section, _, field = key.partition('__')
            changed[section][field] = value
        t.write(folder, name, files.join_case(changed, keep))
        return t.run('replay', name, *args, cwd=folder)

    t.same('a case file that the test has built', None, 1, replay('same.ppcase').code)
    ran = replay('gone.ppcase', '--json', '-', state__answers=[], state__position=0)
    t.same('replay: a finding that is gone is exit 0', ran, (0, 'held', True),
           (ran.code, ran.case()['verdict'], 'gone' in (ran.case()['reason'] or '')))
    answers = content['state']['answers']
    ran = replay('diverged.ppcase', state__answers=[9] * (len(answers) + 50))
    t.same('3: a replay that diverged', ran, (3, True), (ran.code, bool(ran.err)))
    ran = replay('version.ppcase', versions__sqlite='3.99.0')
    t.same('replay: another SQLite version is a warning', ran, (1, True),
           (ran.code, 'warning' in ran.err and '3.99.0' in ran.err))
    ran = replay('newer.ppcase', versions__plugpull='99.0.0')
    t.same('replay: a newer plugpull is a warning', ran, (1, True),
           (ran.code, 'warning' in ran.err and '99.0.0' in ran.err))
    future = whole[:8] + struct.pack('<I', 2) + whole[12:]
    t.write(folder, 'future.ppcase', future)
    t.refused('replay: a format of the future', t.run('replay', 'future.ppcase', cwd=folder),
              'future.ppcase', 'newer')
    for name, data in (('cut.ppcase', whole[:-1]), ('head.ppcase', whole[:20]),
                       ('half.ppcase', whole[:len(whole) // 2]), ('empty.ppcase', b''),
                       ('more.ppcase', whole + b'x'), ('other.ppcase', b'SQLite format 3\0' * 9),
                       *((f'flip{at}.ppcase', whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1:])
                         for at in (0, 9, 13, 17, 25, 40, len(whole) // 2, len(whole) - 1))):
        t.write(folder, name, data)
        t.refused(f'replay: {name}', t.run('replay', name, cwd=folder), name)
    for wrong in ('pp1-', 'pp1-0', 'pp2-' + '0' * 32, 'pp1-' + 'g' * 32, 'pp1-' + '0' * 32,
                  'none.ppcase', '..'):
        t.refused(f'replay: a token that is none, {wrong}', t.run('replay', wrong), wrong)


def check_report(t):
    folder = t.scenario(LOSES + '-- @matrix synchronous=normal,full\n')
    ran = t.run('run', 'f.sql', '--report', 'out', '--json', 'o.json', cwd=folder)
    out = os.path.join(folder, 'out')
    t.same('report: what is in it', ran, (1, REPORT, ['f.sql', 'o.json', 'out']),
           (ran.code, sorted(os.listdir(out)), sorted(os.listdir(folder))))
    modes = {stat.S_IMODE(os.stat(os.path.join(at, name)).st_mode)
             for at, _, names in os.walk(out) for name in names}
    t.same('report: files are 0600', ran, {0o600}, modes)

    def read(name, where=out):
        with open(os.path.join(where, name), encoding='utf-8') as f:
            return f.read()

    t.same('report: result.json is the JSON', ran, read('o.json', folder), read('result.json'))
    token = json.loads(read('result.json'))['cases'][0]['violations'][0]['token']
    suite = t.get('junit.xml', ran, lambda: xml.etree.ElementTree.parse(
        os.path.join(out, 'junit.xml')).getroot())
    if suite is not None:
        t.same('junit.xml: a test for each case, keyed on its id', ran,
               ([c['id'] for c in json.loads(read('result.json'))['cases']], 1),
               ([f"{c.get('classname')}@{c.get('name')}" for c in suite.iter('testcase')],
                len(list(suite.iter('failure')))))
    for part in ('f@strict-posix', token):
        t.has('summary.md', ran, part, read('summary.md').replace('\\', ''))

    first = os.stat(out).st_ino
    ran = t.run('run', 'f.sql', '--report', 'out', '--set', 'synchronous=full', cwd=folder)
    t.same('report: a report is replaced', ran, (0, True, [], ['f.sql', 'o.json', 'out']),
           (ran.code, os.stat(out).st_ino != first, os.listdir(os.path.join(out, 'cases')),
            sorted(os.listdir(folder))))
    secret = LOSES.replace("VALUES (:i)", "VALUES ('hunter' || :i)") + \
        '-- @invariant "nobody hunts"\nSELECT x FROM t;\n'
    folder = t.scenario(secret)
    ran = t.run('run', 'f.sql', '--report', 'out', cwd=folder)
    for name in [n for n in REPORT if n != 'cases']:
        text = read(name, os.path.join(folder, 'out'))
        t.same(f'report: {name} says nothing of what rows hold', ran, (True, False),
               ('nobody hunts' in text, 'hunter1' in text))


def check_places(t):
    """Ways to name a place that are as good as others."""
    folder = t.scenario(LOSES)
    for given in ('out/', 'out//', './out', os.path.join(folder, 'out')):
        ran = t.run('run', 'f.sql', '--report', given, cwd=folder)
        t.same(f'--report {given}', ran, (1, ['f.sql', 'out']),
               (ran.code, sorted(os.listdir(folder))))
    t.write(folder, 'real.json', 'older')
    os.symlink('real.json', os.path.join(folder, 'link.json'))
    ran = t.run('run', 'f.sql', '--json', 'link.json', '--report', 'out', cwd=folder)
    t.same('--json through a symbolic link', ran, (1, True, True),
           (ran.code, os.path.islink(os.path.join(folder, 'link.json')),
            os.path.getsize(os.path.join(folder, 'real.json')) > 100))
    ran = t.run('run', 'f.sql', 'f.sql', './f.sql', '--list', cwd=folder)
    t.same('one file that is named twice is taken once', ran, ['f@strict-posix'],
           ran.out.splitlines())


def check_report_refused(t):
    folder = t.scenario(LOSES)
    t.write(folder, 'mine/letter.txt', 'dear')
    t.write(folder, 'mixed/result.json', '{"plugpull": "0.1.0", "cases": []}')
    t.write(folder, 'mixed/letter.txt', 'dear')
    t.write(folder, 'other/result.json', '{"cases": []}')
    os.mkdir(os.path.join(folder, 'empty'))
    os.symlink('mine', os.path.join(folder, 'link'))
    before = sorted(glob.glob(folder + '/**', recursive=True))
    for given in ('mine', 'mixed', 'other', 'empty', 'link', 'f.sql', 'f.sql/x', 'none/out', '.',
                  '/', 'mine/..'):
        ran = t.run('run', 'f.sql', '--report', given, '--json', 'o.json', cwd=folder)
        t.refused(f'--report {given}', ran)
        t.same(f'--report {given}: nothing is left', ran, before,
               sorted(glob.glob(folder + '/**', recursive=True)))


def check(t, no_wal):
    t.part(check_exit_codes, no_wal)
    t.part(check_json)
    t.part(check_lint)
    t.part(check_tokens)
    t.part(check_forged_cases)
    t.part(check_report)
    t.part(check_report_refused)
    t.part(check_places)

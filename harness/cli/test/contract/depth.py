"""--depth 2: a second crash, at every moment of the recovery from the first."""
import json
import os

import files
from commands import MODELS
from scenarios import SETUP

# A rollback writes, syncs and deletes, so that there is something to interrupt.
JOURNAL = '-- @scenario a journal\n-- @pragma journal_mode=delete synchronous=extra page_size=512\n' \
    '-- @require consistent\n' + SETUP + '-- @client a repeat=2\nINSERT INTO t VALUES (:i);\n'
UNSYNCED = '-- @scenario a recovery that syncs nothing\n-- @expect corrupt\n' \
    '-- @pragma journal_mode=delete synchronous=extra\n-- @plant recovery-without-sync\n' \
    '-- @setup\nCREATE TABLE t(x);\nINSERT INTO t VALUES (zeroblob(6000));\n' \
    '-- @client a\nUPDATE t SET x = zeroblob(7000);\n'


def check_presets(t):
    """A rollback that is interrupted is rolled back again, on every disk that keeps what is synced."""
    lying = {'apfs-no-fullfsync', 'lying-disk'}
    for model in MODELS:
        plain = t.run_text(JOURNAL, '--json', '-', '--model', model).case()
        ran = t.run_text(JOURNAL, '--json', '-', '--model', model, '--depth', '2')
        case = ran.case()
        t.same(f'--depth 2 under {model}: the grade of one crash', ran,
               (plain['grade'], plain['exhaustive']), (case['grade'], case['exhaustive']))
        if model not in lying:
            t.check(int(float(case['states'])) > int(float(plain['states'])),
                    f'--depth 2 under {model}: more states', ran, f'> {plain["states"]}',
                    case['states'])
        t.check(any('depth 2' in note for note in case.get('notes', [])),
                f'--depth 2 under {model} is labelled', ran, 'a note', case.get('notes'))


def check_control(t):
    """What only a second crash shows."""
    folder = t.scenario(UNSYNCED)
    ran = t.run('run', 'f.sql', '--json', '-', cwd=folder)
    t.same('a defect of recovery is skipped at depth 1', ran, (4, 'skipped'),
           (ran.code, ran.case()['verdict']))
    ran = t.run('run', 'f.sql', '--depth', '2', '--json', '-', cwd=folder)
    t.same('... and seen at depth 2', ran, (0, 'corrupt'), (ran.code, ran.case()['grade']))
    text = UNSYNCED.replace('-- @plant recovery-without-sync\n', '').replace(
        '@expect corrupt', '@expect durable')
    sound = t.run_text(text, '--depth', '2', '--json', '-')
    t.same('... which without the defect is not there', sound, (0, 'durable', True),
           (sound.code, sound.case()['grade'], sound.case()['exhaustive']))
    token = [v['token'] for v in ran.case()['violations'] if v['grade'] == 'corrupt'][0]
    path = os.path.join(folder, '.plugpull', 'cases', token + '.ppcase')
    again = t.run('replay', path, cwd=t.folder())
    t.check(again.code == 1 and 'and again after operation' in again.out,
            'a second crash replays, and is told', again, 'exit 1, and again after operation',
            (again.code, again.out))
    with open(path, 'rb') as f:
        content, trace = files.split_case(f.read())
    t.check(content['state'].get('depth') == 2 and 'again' in content['state'],
            'the case file has the second crash', ran, 'depth and again', content['state'])
    for position, cut, code, said in ((99999, None, 3, 'second crash'),
                                      (0, 5, 2, 'cannot leave')):
        changed = json.loads(json.dumps(content))
        changed['state']['again'] = {'position': position, 'cut_bytes': cut}
        t.write(folder, 'forged.ppcase', files.join_case(changed, trace))
        forged = t.run('replay', 'forged.ppcase', cwd=folder)
        t.same(f'a second crash that the recovery does not have ({position})', forged, (code, True),
               (forged.code, said in forged.err))
    changed = json.loads(json.dumps(content))
    changed['state']['promise'] = changed['state']['position'] + 1
    t.write(folder, 'forged.ppcase', files.join_case(changed, trace))
    forged = t.run('replay', 'forged.ppcase', cwd=folder)
    t.same('a disk that lags behind without a barrier', forged, (2, True),
           (forged.code, 'cannot leave' in forged.err))


def check_jobs(t):
    outputs = set()
    for jobs in ('1', '2', '3'):
        ran = t.run_text(UNSYNCED + "INSERT INTO t VALUES (1);\n", '--depth', '2', '--jobs', jobs,
                         '--json', '-')
        outputs.add(ran.out)
    t.same('--depth 2 is the same for every number of workers', ran, 1, len(outputs))


def check(t):
    t.part(check_presets)
    t.part(check_control)
    t.part(check_jobs)

"""replay --gdb: where it stops. gdb itself is asked, by a script in its place that adds commands."""
import json
import os
import shutil

import files
from scenarios import LOSES

GDB = '''#!/usr/bin/env python3
import os, sys
a = sys.argv[1:]
i = a.index('--args')
more = []
for _ in range(5):
    more += ['-ex', 'bt 60', '-ex', 'echo ====', '-ex', 'continue']
os.execv(%r, ['gdb', '-batch', *a[:i], *more, *a[i:]])
'''


def stops(t, folder, case):
    """What gdb shows at each stop, by the function that it stopped in."""
    t.write(folder, 'bin/gdb', GDB % shutil.which('gdb'))
    os.chmod(os.path.join(folder, 'bin/gdb'), 0o755)
    ran = t.run('replay', case, '--gdb', cwd=folder, env={
        'PATH': os.path.join(folder, 'bin') + ':' + os.environ['PATH'], 'DEBUGINFOD_URLS': ''})
    shown = [part for part in ran.out.split('====') if '#0 ' in part]
    return ran, {part.split('#0 ', 1)[1].split(' (')[0].split()[-1]: part for part in shown}


def check_stops(t):
    folder = t.scenario(LOSES)
    token = t.run('run', 'f.sql', '--json', '-', cwd=folder).case()['violations'][0]['token']
    path = os.path.join(folder, '.plugpull', 'cases', token + '.ppcase')
    with open(path, 'rb') as f:
        content, trace = files.split_case(f.read())
    position = content['state']['position']
    ran, seen = stops(t, folder, token)
    t.same('--gdb stops at the operation, the recovery, the oracles and the one that objected', ran,
           ['plugpull_operation', 'examiner_examine', 'judge_observation', 'history_judge'],
           list(seen))
    at = seen.get('plugpull_operation', '')
    t.check(f'position={position})' in at and 'libsqlite3' in at and 'record_case' in at,
            '--gdb: SQLite and the scenario are above the operation', ran,
            f'position={position}, libsqlite3, record_case', at)
    t.has('--gdb: then the replay goes on to its end', ran, 'violated', ran.out)

    # A case from a stranger's trace has no scenario; one of another SQLite makes another trace.
    for what, change, said in (
            ('no scenario', lambda c: c.pop('scenario'), 'does not say which scenario'),
            ('another trace', lambda c: c['scenario'].update(
                text=c['scenario']['text'].replace('repeat=3', 'repeat=4')), 'makes another trace')):
        changed = json.loads(json.dumps(content))
        change(changed)
        t.write(folder, 'changed.ppcase', files.join_case(changed, trace))
        ran, seen = stops(t, folder, 'changed.ppcase')
        t.same(f'--gdb: {what}: stops at the recovery', ran,
               (['examiner_examine', 'judge_observation', 'history_judge'], True),
               (list(seen), said in ran.out + ran.err))


def check_missing(t):
    folder = t.scenario(LOSES)
    token = t.run('run', 'f.sql', '--json', '-', cwd=folder).case()['violations'][0]['token']
    t.refused('--gdb without gdb', t.run('replay', token, '--gdb', cwd=folder,
                                         env={'PATH': t.folder()}), '--gdb', 'installed')


def check(t):
    t.part(check_missing)
    if shutil.which('gdb') is None:
        print('gdb is not installed: where --gdb stops was not checked')
        return
    t.part(check_stops)

"""Every planted defect that `list defects` names is noticed, by what it names, and not without it."""
import re

ARCHIVAL = '-- @scenario a planted defect\n-- @pragma {settings}\n{plant}' \
    '-- @workload store.archival batches=6 events=4\n-- @batch events id=batch_id count=batch_count\n' \
    '-- @order events position\n-- @schema-version 1,2,3,4\n' \
    '-- @invariant "every event says its size"\n' \
    'SELECT 1 FROM events WHERE payload_bytes <> length(payload);\n'
# The other workloads of the store.
SERVICE = '-- @scenario a planted defect\n-- @pragma {settings}\n{plant}-- @workload '
TALK = SERVICE + 'store.conversations messages=2 in_flight=2 migrate=0\n' \
    '-- @invariant "conversations know how many messages they have"\n' \
    'SELECT 1 FROM conversations WHERE message_count <> (SELECT count(*) FROM messages' \
    ' WHERE messages.conversation = conversations.conversation);\n'
FILES = SERVICE + 'store.filesystem operations=6 backup=0 migrate=0\n' \
    '-- @invariant "reference counts are the number of references"\n' \
    'SELECT 1 FROM blobs WHERE refcount <>' \
    ' (SELECT count(*) FROM nodes WHERE nodes.blob = blobs.blob);\n'
LOGS = SERVICE + 'store.workflow executions=2 steps=1 in_flight=1\n' \
    '-- @invariant "a log that a row names is there, whole"\n' \
    'SELECT 1 FROM step_logs WHERE plugpull_file_bytes(file_name) IS NOT bytes' \
    ' OR plugpull_file_fnv1a64(file_name) IS NOT checksum;\n'
CLOCK = SERVICE + 'store.clock batches=2 events=2\n-- @clock back\n'
for _kinds, _wrong in (("'data'", '<> position - 1'), ("'flush', 'lock', 'busy'", '>= 10000'),
                       ("'log'", '<> 0')):
    CLOCK += f'-- @invariant "what it saw of {_kinds} is right"\nSELECT 1 FROM events' \
        f' WHERE kind IN ({_kinds}) AND CAST(CAST(payload AS TEXT) AS INTEGER) {_wrong};\n'
ROWS = '-- @scenario a planted defect\n-- @pragma {settings}\n{plant}-- @setup\n' \
    'CREATE TABLE t(id INTEGER PRIMARY KEY, v);\n' \
    'INSERT INTO t WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 40)\n' \
    ' SELECT i, zeroblob(300) FROM n;\n' \
    '-- @client c repeat=3\nUPDATE t SET v = zeroblob(300 + :i) WHERE id % 7 = :i;\n'
WAL = 'journal_mode=wal synchronous=full wal_autocheckpoint=8'
DELETE = 'journal_mode=delete synchronous=extra'
# Which scenario shows it, and with which options; the rest is shown by ARCHIVAL.
SHOWN = {
    'order-by-time': (CLOCK, 'journal_mode=wal synchronous=full'),
    'waits-by-wall-clock': (CLOCK, 'journal_mode=wal synchronous=full'),
    'never-checkpoints': (CLOCK, 'journal_mode=wal synchronous=full'),
    'count-later': (TALK, WAL),
    'blob-count-later': (FILES, WAL),
    'file-never-synced': (LOGS, WAL),
    'folder-never-synced': (LOGS, WAL),
    'recovery-without-sync': (ROWS, DELETE, '--depth', '2'),
    'journal-stays': (ROWS, DELETE),
    'disk-forgets': (ROWS, DELETE),
    'search-skips': (ROWS, DELETE),
}
STRUCTURE = {
    'accounting': (3, 'the accounting does not add up'),
    'recording': (3, 'the recording has a hole'),
}


def listed(t):
    ran = t.run('list', 'defects')
    rows = [re.match(r'^(\S+) +(\S.*?) +seen by (\S+) +(\S.*)$', x) for x in ran.out.splitlines()]
    t.check(all(rows), 'list defects', ran, 'NAME LAYER seen by WHOM WHAT', ran.out)
    return {m.group(1): (m.group(2), m.group(3)) for m in rows if m}


def check_run(t, name, seer):
    text, settings, *options = SHOWN.get(name, (ARCHIVAL, WAL))
    sound = t.run_text(text.format(settings=settings, plant=''), *options)
    t.same(f'{name}: without it', sound, (0, 'durable', []),
           (sound.code, sound.case()['grade'], sound.case()['violations']))
    ran = t.run_text(text.format(settings=settings, plant=f'-- @plant {name}\n'), *options)
    if seer in STRUCTURE:
        code, said = STRUCTURE[seer]
        t.check(ran.code == code and said in ran.err + ran.out, f'{name} is seen by {seer}', ran,
                f'exit {code}, {said}', (ran.code, ran.err + ran.out))
        return
    oracles = {v['oracle'] for v in ran.case()['violations']}
    t.check(ran.code == 1 and seer in oracles, f'{name} is seen by {seer}', ran,
            f'exit 1, {seer}', (ran.code, oracles))


def check_report(t, name):
    losing = ROWS.format(settings='journal_mode=wal synchronous=normal', plant='{}')
    folder = t.scenario(losing.format(''))
    ran = t.run('run', 'f.sql', '--report', 'out', cwd=folder)
    t.same(f'{name}: without it', ran, 1, ran.code)
    folder = t.scenario(losing.format(f'-- @plant {name}\n'))
    ran = t.run('run', 'f.sql', '--report', 'out', cwd=folder)
    t.check(ran.code == 3 and 'would hide' in ran.err, f'{name} is seen by report', ran,
            'exit 3, would hide', (ran.code, ran.err))


def check_runner(t, name):
    text = ARCHIVAL.format(settings=WAL, plant=f'-- @plant {name}\n')
    ran = t.run('kill', 'f.sql', '--budget', '8r', '--json', '-', cwd=t.scenario(text))
    t.check(ran.code == 4 and 'killed anything' in ran.case()['reason'],
            f'{name} is seen by runner', ran, 'exit 4, killed anything', (ran.code, ran.out))


def check(t):
    defects = listed(t)
    layers = {layer for layer, _ in defects.values()}
    seers = {seer for _, seer in defects.values()}
    t.same('a defect for each oracle', None, set(),
           {'history', 'recovery', 'integrity', 'invariant', 'batch', 'order', 'schema',
            'leftovers', 'second-open', 'writable', 'liveness'} - seers)
    wanted = {'store', 'shim', 'recorder', 'disk model', 'explorer', 'history', 'runner', 'report',
              'recovery'}
    t.same('a defect in each layer', None, wanted, layers)
    for name, (_, seer) in defects.items():
        if seer == 'report':
            check_report(t, name)
        elif seer == 'runner':
            check_runner(t, name)
        else:
            check_run(t, name, seer)

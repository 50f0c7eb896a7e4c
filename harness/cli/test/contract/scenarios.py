"""Scenario files: each directive has its effect, and each wrong value is refused with file:line."""
import json
import os
import shlex
import subprocess

import files

SETUP = '-- @setup\nCREATE TABLE t(x);\n'
CLIENT = '-- @client c\nINSERT INTO t VALUES (1);\n'
WAL = '-- @scenario rows one by one\n-- @pragma journal_mode=wal synchronous=full\n'
# Held; with synchronous=normal consistent, so that there are findings to look at.
ROWS = WAL + SETUP + '-- @client a repeat=3\nINSERT INTO t VALUES (:i);\n'
LOSES = ROWS.replace('synchronous=full', 'synchronous=normal')
ALLOWED = LOSES + '-- @require consistent\n'
ARCHIVE = '-- @scenario the store\n-- @pragma journal_mode=wal synchronous=full\n' \
    '-- @workload store.archival batches=2 events=2\n'

EXTENSION = '''#include <sqlite3ext.h>
SQLITE_EXTENSION_INIT1
static void twice(sqlite3_context *c, int n, sqlite3_value **v)
{ (void)n; sqlite3_result_int64(c, 2 * sqlite3_value_int64(v[0])); }
int sqlite3_extension_init(sqlite3 *db, char **message, const sqlite3_api_routines *api)
{ (void)message; SQLITE_EXTENSION_INIT2(api);
  return sqlite3_create_function(db, "twice", 1, SQLITE_UTF8, 0, twice, 0, 0); }
'''
# Stands in for a SQLite that has no WAL: a request for it is answered with another mode.
NO_WAL = '''#define _GNU_SOURCE
#include <dlfcn.h>
#include <string.h>
const unsigned char *sqlite3_column_text(void *statement, int column);
const unsigned char *sqlite3_column_text(void *statement, int column)
{ const unsigned char *(*real)(void *, int);
  *(void **)&real = dlsym(RTLD_NEXT, "sqlite3_column_text");
  const unsigned char *text = real(statement, column);
  return text && strcmp((const char *)text, "wal") == 0 ? (const unsigned char *)"delete" : text; }
'''


def build_library(t, source):
    """A shared library from C source, by the compiler that built the program."""
    folder = t.folder()
    path = os.path.join(folder, 'library.so')
    t.write(folder, 'library.c', source)
    compiler = shlex.split(os.environ.get('CC', 'cc'))
    done = subprocess.run([*compiler, '-shared', '-fPIC', '-o', path,
                           os.path.join(folder, 'library.c'), '-ldl'],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    t.check(done.returncode == 0, 'a library for the test can be built', None, 'exit 0',
            done.stdout.decode('utf-8', 'replace'))
    return path


def recorded(t, text, *args):
    """A run of the scenario whose trace can be looked at: (ran, first case, Trace or None).

    Case files hold traces, and findings have case files, also below an accepted grade; so the
    scenario must lose something.
    """
    folder = t.scenario(text)
    ran = t.run('run', 'f.sql', '--json', '-', *args, cwd=folder)
    case = t.get('the first case of the JSON', ran, ran.case) or {}

    def read():
        token = case['violations'][0]['token']
        with open(os.path.join(folder, '.plugpull', 'cases', token + '.ppcase'), 'rb') as f:
            return files.Trace(files.split_case(f.read())[1])

    return ran, case, t.get('the trace in a case file', ran, read)


def findings(case):
    return sorted({(v['oracle'], v['grade']) for v in case.get('violations', [])})


def run_case(t, text, *args):
    ran = t.run_text(text, *args)
    return ran, t.get('the first case of the JSON', ran, ran.case) or {}


def outcome(t, what, text, code, verdict, grade, *args):
    """The one case of the scenario comes out as expected; returns it."""
    ran, case = run_case(t, text, *args)
    t.same(what, ran, (code, verdict, grade), (ran.code, case.get('verdict'), case.get('grade')))
    return ran, case


def ids(t, text, *args):
    ran = t.run('run', 'f.sql', '--list', *args, cwd=t.scenario(text))
    return ran, ran.out.splitlines()


def check_refused(t):
    path = os.path.join(os.path.dirname(__file__), 'refused.txt')
    with open(path, encoding='utf-8') as f:
        blocks = f.read().split('\n\n')
    count = 0
    for block in blocks:
        if '----' not in block:
            continue
        text, _, expected = block.partition('----\n')
        ran = t.run('run', 'f.sql', cwd=t.scenario(text.replace('$CLIENT\n', CLIENT)))
        t.refused(f'refused: {text.splitlines()[-1]!r}', ran, 'f.sql:' + expected.rstrip('\n'))
        count += 1
    t.check(count > 50, 'refused.txt was read', None, 'more than 50 tests', count)


def check_declarations(t):
    ran = t.run('list', 'scenarios', 'f.sql', cwd=t.scenario(ROWS))
    t.has('@scenario: the title is listed', ran, 'rows one by one', ran.out)

    text = LOSES.replace('synchronous=normal', 'synchronous=normal page_size=512 '
                         'auto_vacuum=full encoding=UTF-16le')
    ran, case, trace = recorded(t, text)
    t.same('@pragma: config', ran, {'journal_mode': 'wal', 'synchronous': 'normal',
                                    'page_size': '512', 'auto_vacuum': 'full',
                                    'encoding': 'UTF-16le'}, case.get('config'))
    if trace:
        # https://www.sqlite.org/fileformat2.html 1.3: page size at 16, auto-vacuum at 52, encoding
        # at 56. journal_mode stands first in the file and would make the database without them.
        header = next(iter(trace.base.values()), b'')
        t.same('@pragma: what precedes the database comes first', ran, (512, 2, True),
               (int.from_bytes(header[16:18], 'big'), header[59],
                int.from_bytes(header[52:56], 'big') > 0))
    outcome(t, '@pragma: on clients', ROWS.replace('=full', '=off'), 1, 'violated', 'consistent')

    text = LOSES.replace('-- @setup\n', '-- @attach side side.db\n-- @setup\n'
                         'CREATE TABLE side.s(y);\n') + 'INSERT INTO side.s VALUES (:i);\n'
    ran, case, trace = recorded(t, text)
    if trace:
        names = sorted(os.path.basename(n) for n in trace.names if n)
        t.same('@attach: both files and their logs are recorded', ran,
               ['main.db', 'main.db-wal', 'side.db', 'side.db-wal'],
               [n for n in names if n.endswith(('.db', '-wal'))])
        t.same('@attach: pragmas reach each schema', ran, [b'\2\2', b'\2\2'],
               [content[18:20] for content in trace.base.values() if content])

    ran, listed = ids(t, ROWS)
    t.same('@models: strict-posix without it', ran, ['f@strict-posix'], listed)
    ran, listed = ids(t, ROWS + '-- @models process-crash lying-disk\n')
    t.same('@models: in the order given', ran, ['f@process-crash', 'f@lying-disk'], listed)
    outcome(t, '@models: the model counts', ROWS + '-- @models lying-disk\n', 1, 'violated',
            'consistent')

    text = ROWS + '-- @matrix synchronous=off,full model.sector=512,4096\n'
    ran, listed = ids(t, text)
    t.same('@matrix: the product of the axes, keys sorted', ran,
           [f'f@strict-posix[model.sector={s},synchronous={y}]'
            for y in ('off', 'full') for s in (512, 4096)], listed)
    ran = t.run_text(text)
    result = t.get('@matrix: JSON', ran, ran.json) or {'cases': []}
    t.same('@matrix: its value replaces @pragma', ran, ['violated', 'violated', 'held', 'held'],
           [c['verdict'] for c in result['cases']])


def check_grades(t):
    outcome(t, '@require: durable without it', LOSES, 1, 'violated', 'consistent')
    ran, case = outcome(t, '@require: a floor', ALLOWED, 0, 'held', 'consistent')
    t.same('@require: required and expected', ran, ('consistent', None),
           (case.get('required'), case.get('expected')))
    t.same('findings below durable are listed in held cases', ran, [('history', 'consistent')],
           findings(case))
    for rule, code in (('-- @require torn if synchronous=normal\n', 0),
                       ('-- @require torn if synchronous=full\n', 1),
                       ('-- @require torn if synchronous=normal model=strict-posix\n', 0),
                       ('-- @require torn if synchronous=normal model=lying-disk\n', 1),
                       ('-- @require torn if cache_size=7\n', 1),
                       ('-- @require torn\n-- @require durable if synchronous=normal\n', 1),
                       ('-- @require durable if synchronous=normal\n-- @require torn\n', 0),
                       ('-- @expect consistent\n', 0), ('-- @expect durable\n', 1),
                       ('-- @expect torn\n', 1), ('-- @expect consistent if model.sector=512\n', 1),
                       ('-- @expect torn\n-- @expect consistent if synchronous=normal\n', 0)):
        ran, case = run_case(t, LOSES + rule)
        t.same(f'rules {rule!r}', ran, (code, 'consistent'), (ran.code, case.get('grade')))
    ran, case = outcome(t, '@expect: a better grade is violated, too', ROWS + '-- @expect corrupt\n',
                        1, 'violated', 'durable')
    t.same('@expect: required and expected', ran, (None, 'corrupt'),
           (case.get('required'), case.get('expected')))


def check_sections(t, extension):
    view = '-- @open\nCREATE TEMP VIEW v AS SELECT x FROM t WHERE x > 2;\n'
    ask = '-- @invariant "nothing above two"\nSELECT * FROM v;\n'
    ran, case = run_case(t, ROWS + view + ask)
    t.same('@open: checking connections have what it makes', ran, (1, [('invariant', 'corrupt')]),
           (ran.code, findings(case)))
    ran, case = run_case(t, ROWS + ask)
    t.same('@invariant: that can never be asked makes the case inconclusive', ran,
           (4, ['invariant']),
           (ran.code, [n['oracle'] for n in case.get('not_applicable', [])]))

    ran, case = run_case(t, WAL + SETUP + '-- @client a\nSELECT * FROM t;\n')
    t.same('a run that writes nothing is inconclusive', ran, (4, 'inconclusive'),
           (ran.code, case.get('verdict')))

    twice = '-- @invariant "twice"\nSELECT 1 WHERE twice(2) <> %d;\n'
    load = f'-- @load {extension}\n'
    outcome(t, '@load: its functions are there', ROWS + load + twice % 4, 0, 'held', 'durable')
    outcome(t, '@load: and are called', ROWS + load + twice % 5, 1, 'violated', 'corrupt')
    ran = t.run('run', 'f.sql', cwd=t.scenario(ROWS + '-- @load ./none.so\n'))
    t.refused('@load: no such file', ran, 'f.sql:', './none.so')

    ran, case = run_case(t, ALLOWED)
    ran, crash = run_case(t, ALLOWED.replace('@setup', '@setup crash=yes'))
    t.check(crash.get('crash_points', 0) > case.get('crash_points', 0) and
            crash.get('commits', 0) > case.get('commits', 0), '@setup crash=yes is explored, too',
            ran, 'more crash points and commits', (case, crash))
    ran, same = run_case(t, ALLOWED.replace('@setup', '@setup crash=no'))
    t.same('@setup crash=no', ran, case.get('crash_points'), same.get('crash_points'))
    ran = t.run('run', 'f.sql', '--report', 'out', '--json', 'o.json',
                cwd=t.scenario(ROWS.replace('CREATE TABLE t(x);', 'CREATE TABLE t(x);\nNONSENSE;')))
    t.refused('@setup: SQL that fails', ran, 'f.sql:5: ', 'NONSENSE')

    for wrong in ('x < 1', 'x > 3', "who <> 'a'", 'seed <> 7', "typeof(r) <> 'integer'",
                  'r IN (SELECT r FROM t AS o WHERE o.x <> t.x)'):
        text = ROWS.replace('t(x)', 't(x, who, seed, r)') + '-- @invariant "as bound"\n' \
            f'SELECT * FROM t WHERE {wrong};\n'
        text = text.replace('(:i)', '(:i, :client, :seed, :r)')
        outcome(t, f'@client: parameters, {wrong}', text, 0, 'held', 'durable', '--seed', '7')
    outcome(t, '@client: :seed is that of --seed', text.replace(wrong, 'seed = 8'), 1, 'violated',
            'corrupt', '--seed', '8')
    ran, case = run_case(t, ROWS.replace('repeat=3', 'repeat=5'))
    t.same('@client: repeat', ran, 5, case.get('commits'))
    two = LOSES + '-- @client b repeat=2%s\nINSERT INTO t VALUES (-:i);\n'
    for process, expected in (('', {1, 2}), (' process=1', {1}), (' process=9', {1, 9})):
        ran, case, trace = recorded(t, (two % process).replace('repeat=3', 'repeat=3 process=1'))
        if trace:
            t.same(f'@client: process{process}', ran, (5, expected),
                   (case.get('commits'), trace.processes()))
            turns = [o[2] for o in trace.operations if o[0] == 'ack']
            t.same('@client: turns by transaction', ran, [2, 3, 2, 3, 2], turns)

    fails = ROWS.replace('t(x)', 't(x UNIQUE)') + '-- @client b\nBEGIN;\nINSERT INTO t VALUES (8);\n' \
        '%sINSERT INTO t VALUES (8);\nINSERT INTO t VALUES (9);\nCOMMIT;\n'
    ran = t.run('run', 'f.sql', cwd=t.scenario(fails % ''))
    t.refused('@client: a statement that fails', ran, 'f.sql:10: ', "client 'b'", 'UNIQUE')
    ran, case = outcome(t, '@may-fail', fails % '-- @may-fail\n' + '-- @invariant "ended"\n'
                        'SELECT * FROM t WHERE x > 3;\n', 0, 'held', 'durable')
    t.same('@may-fail: ends its transaction', ran, 3, case.get('commits'))


def check_workloads(t):
    ran, case = outcome(t, '@workload', ARCHIVE, 0, 'held', 'durable')
    ran, more = run_case(t, ARCHIVE.replace('batches=2', 'batches=5'))
    t.same('@workload: its parameters', ran, 3, more.get('commits', 0) - case.get('commits', 0))
    oracles = '-- @batch events id=batch_id count=batch_count\n-- @schema-version 1,2,3,4\n' \
        '-- @order events position\n'
    outcome(t, 'oracles are green on a right workload', ARCHIVE + oracles, 0, 'held', 'durable')
    for defect, oracle, grade in (('ack-before-commit', 'history', 'consistent'),
                                  ('batch-in-two-transactions', 'batch', 'torn'),
                                  ('migration-outside-transaction', 'schema', 'torn'),
                                  ('missing-commit-sync', 'history', 'consistent')):
        ran, case = run_case(t, ARCHIVE + oracles + f'-- @plant {defect}\n')
        t.check(ran.code == 1 and (oracle, grade) in findings(case), f'@plant {defect} is noticed',
                ran, f'exit 1 and {(oracle, grade)}', f'exit {ran.code}, {findings(case)}')
    ran, case = run_case(t, ROWS + '-- @plant missing-commit-sync\n')
    t.same('@plant: in clients', ran, 1, ran.code)

    batch = ROWS.replace('t(x)', 't(b, n)').replace('(:i)', '(:i, 2), (:i, 2)')
    outcome(t, '@batch: whole', batch + '-- @batch t id=b count=n\n', 0, 'held', 'durable')
    ran, case = outcome(t, '@batch: not whole', batch.replace(', (:i, 2)', '') +
                        '-- @batch t id=b count=n\n', 1, 'violated', 'torn')
    t.same('@batch: its oracle', ran, [('batch', 'torn')], findings(case))
    outcome(t, '@order: no hole', ROWS + '-- @order t x\n', 0, 'held', 'durable')
    ran, case = outcome(t, '@order: a hole', ROWS.replace('(:i)', '(2 * :i)') + '-- @order t x\n', 1,
                        'violated', 'torn')
    t.same('@order: its oracle', ran, [('order', 'torn')], findings(case))
    version = ROWS.replace('CREATE TABLE t(x);', 'CREATE TABLE t(x);\n'
                           'CREATE TABLE schema_version(version);\n'
                           'INSERT INTO schema_version VALUES (1);')
    outcome(t, '@schema-version: one of the list', version + '-- @schema-version 1,2\n', 0, 'held',
            'durable')
    ran, case = outcome(t, '@schema-version: not of the list', version + '-- @schema-version 2\n', 1,
                        'violated', 'torn')
    t.same('@schema-version: its oracle', ran, [('schema', 'torn')], findings(case))


def check_text(t):
    quoted = ROWS + '-- @invariant "two ""quoted"" words"\nSELECT 1 FROM t WHERE x = 3;\n'
    ran, case = run_case(t, quoted)
    t.has('values in double quotes', ran, 'two "quoted" words',
          json.dumps([v['message'] for v in case.get('violations', [])]).replace('\\"', '"'))
    trigger = ROWS.replace('CREATE TABLE t(x);', 'CREATE TABLE t(x);\nCREATE TABLE log(y);\n'
                           'CREATE TRIGGER g AFTER INSERT ON t BEGIN\n'
                           'INSERT INTO log VALUES (new.x);\nEND;')
    outcome(t, 'statements end where sqlite3_complete() says', trigger +
            '-- @invariant "the trigger ran"\nSELECT 1 FROM t WHERE x NOT IN (SELECT y FROM log);\n',
            0, 'held', 'durable')
    inside = ROWS + "-- @invariant \"text\"\nSELECT 1 WHERE '\n-- @no-directive\n' = '';\n"
    outcome(t, 'a directive inside a string is text', inside, 0, 'held', 'durable')


def check_sql_errors(t):
    """SQL that cannot be what its author meant: exit 2 and one line with file:line."""
    setup = ROWS.replace('CREATE TABLE t(x);', 'CREATE TABLE t(x);\n%s')
    ask = ROWS + '-- @invariant "x"\n%s\n'
    look = ROWS + '-- @open\n%s\n'
    for text, line, *parts in (
            (setup % 'BEGIN;', 5, '@setup'),
            (setup % "INSERT INTO t 'a\nb';", 5, 'syntax error'),
            (setup % "INSERT INTO t 'a\033[31m\tb';", 5, 'syntax error'),
            (ROWS.replace('INSERT INTO', 'BEGIN; INSERT INTO'), 6, "client 'a'"),
            (ROWS.replace('VALUES (:i)', 'VALUES (nowhere)'), 6, "client 'a'", 'nowhere'),
            (look % 'SELECT *\nFROM nowhere;', 8, 'nowhere'),
            (look % 'INSERT INTO t VALUES (9);', 8), (ask % 'DELETE FROM t;', 7),
            (ROWS + '-- @attach other main.db\n', 7, 'main.db'),
            (ROWS.replace('t(x)', 't(x CHECK (x < 3))'), 6, "client 'a'", 'CHECK')):
        ran = t.run('run', 'f.sql', cwd=t.scenario(text))
        t.refused(f'SQL that fails: {text[len(WAL):]!r}', ran, f'f.sql:{line}: ', *parts)
        t.check(all(c.isprintable() for c in ran.err.rstrip('\n')), 'SQL that fails: printable',
                ran, 'no control character', repr(ran.err))


def check(t, extension):
    t.part(check_refused)
    t.part(check_declarations)
    t.part(check_grades)
    t.part(check_sections, extension)
    t.part(check_workloads)
    t.part(check_text)
    t.part(check_sql_errors)

"""`explain`: the story of a case, in the terminal, as JSON, and in a report folder."""
import json
import os
import re

import planted
from depth import UNSYNCED
from materialize import cases
from scenarios import LOSES, build_library
from workers import DIES, EXTENSION

ORDERS = '-- @scenario orders are kept once the shop has said "thank you"\n' \
    '-- @pragma journal_mode=delete synchronous=full\n' \
    '-- @setup\nCREATE TABLE orders(id INTEGER PRIMARY KEY, item TEXT);\n' \
    '-- @client shop repeat=3\n' \
    "INSERT INTO orders(item) VALUES ('book');\n"
# Two tables on two pages: a page that is lost by itself tears the transaction.
OFF = '-- @scenario two accounts\n-- @pragma journal_mode=delete synchronous=off\n' \
    '-- @setup\nCREATE TABLE a(id INTEGER PRIMARY KEY, v INTEGER);\n' \
    'CREATE TABLE b(id INTEGER PRIMARY KEY, v INTEGER);\n' \
    'INSERT INTO a VALUES (1, 100);\nINSERT INTO b VALUES (1, 100);\n' \
    '-- @client c\nBEGIN;\nUPDATE a SET v = v - 10;\nUPDATE b SET v = v + 10;\nCOMMIT;\n'
APP = '''import sqlite3
db = sqlite3.connect('app.db', isolation_level=None)
db.execute('create table notes(id integer primary key, v text)')
for i in range(2):
    db.execute("insert into notes(v) values ('hunter%d')" % i)
    print('kept', i, flush=True)
'''
CHECK = 'python3 -c "import sqlite3; d = sqlite3.connect(\'app.db\'); ' \
    'raise SystemExit(0 if len(list(d.execute(\'select * from notes\'))) == 2 else 1)"'
STORY = {'allowed', 'again', 'config', 'crash', 'crash_words', 'cut', 'cut_bytes', 'decisions',
         'files', 'fixes', 'fixes_words', 'format', 'grade', 'id', 'message', 'missing',
         'missing_left_out', 'model', 'model_words', 'ops', 'ops_left_out', 'oracle', 'plugpull', 'promise', 'recovery',
         'replay', 'rows', 'rows_against', 'rows_left_out', 'show_data', 'source', 'source_path',
         'sqlite', 'statements', 'states', 'states_left_out', 'states_recoveries', 'states_shown',
         'states_total', 'title', 'token', 'transactions', 'verdict'}


def tell(t, folder, token, *args, code=0):
    """The story of a case as JSON."""
    ran = t.run('explain', token, '--json', '-', *args, cwd=folder)
    t.code('explain is told', ran, code)
    return ran, ran.json().get('story', {}) if ran.out else {}


def ops_of(story, fate):
    return [o['words'] for o in story['ops'] if o['fate'] == fate]


def presences(story):
    return [x['presence'] for x in story['transactions']]


def check_orders(t):
    """DELETE/FULL: the journal's deletion is lost, a directory sync is missing, EXTRA mends it."""
    folder, tokens = cases(t, ORDERS)
    ran, story = tell(t, folder, tokens[0])
    top = ran.json()
    t.same('--json: one object', ran, ({'plugpull', 'format', 'command', 'story'}, 1, 'explain'),
           (set(top), top['format'], top['command']))
    t.same('... and the keys of its story', ran, STORY, set(story))
    t.same('which transaction is gone', ran, ['gone', 'later', 'later'], presences(story))
    t.same('... and what it did', ran, 'inserts 1 row into orders',
           story['transactions'][0]['changes'])
    t.same('... and its statement', ran, [('f.sql:6', 1)],
           [(s['source'], s['transaction']) for s in story['statements'] if s['transaction'] == 1])
    t.same('what was lost', ran, ['deletes main.db-journal'], ops_of(story, 'lost'))
    t.has('the verdict names it', ran, 'the deletion of main.db-journal', story['verdict'])
    t.has('... and what SQLite made of it', ran, 'rolled it back', story['verdict'])
    t.same('the row that is missing', ran, [('table orders, rowid 1', None)],
           [(r['where'], r['found']) for r in story['rows']])
    t.check('book' not in ran.out.replace('(\'book\')', ''), 'no row value is shown', ran,
            'no value', story['rows'])
    t.same('the missing sync', ran, [('journal-end-before-ack', '/db', True, True)],
           [(m['rule'], m['target'], m['directory'], m['matters']) for m in story['missing']])
    gone = [o for o in story['ops'] if o['fate'] == 'lost'][0]
    t.same('... after the deletion', ran, gone['position'], story['missing'][0]['after'])
    t.has('what allows it', ran, 'EXTRA', story['allowed'])
    fixes = [(f['what'].split(' ')[0], f['where']) for f in story['fixes']]
    t.same('what would fix it', ran,
           [('synchronous=extra', 'f.sql:2'), ('journal_mode=wal', 'f.sql:2'), ('a', None)], fixes)
    for fix in story['fixes']:
        t.has('... is proved', ran, 'all of them covered', fix['proof'])
        if fix['command'] is not None:
            again = t.run(*fix['command'].split(' ')[1:], cwd=folder)
            t.code(f'... and its command shows it: {fix["command"]}', again, 0)
    t.same('the lines that it is about', ran, [2, 6],
           [i + 1 for i, line in enumerate(story['source']) if line['involved']])
    t.same('the states of the crash point', ran, [True, False],
           [s['this_one'] for s in story['states']])
    t.same('... and how many there are', ran, sum(int(s['count']) for s in story['states']),
           int(story['states_total']))
    shown = t.run('explain', tokens[0], cwd=folder)
    for said in ('the deletion of main.db-journal', 'power fails', 'is missing', 'synchronous=extra',
                 'plugpull replay ' + tokens[0]):
        t.has('the terminal says it', shown, said, shown.out)
    t.check(max(map(len, shown.out.splitlines())) <= 96, '... in lines that fit', shown, 96,
            max(map(len, shown.out.splitlines())))
    t.check('\033' not in shown.out, '... without colours', shown, 'no escape', shown.out[:200])
    data = t.run('explain', tokens[0], '--show-data', cwd=folder)
    t.has('--show-data shows values', data, "'book'", data.out)


def check_report(t):
    """--report draws it; the same case gives the same bytes, however many workers there are."""
    folder, tokens = cases(t, ORDERS)
    texts = [t.run('explain', tokens[0], '--json', '-', '--jobs', jobs, cwd=folder).out
             for jobs in ('1', '3')]
    t.same('the same bytes', None, texts[0], texts[1])
    ran = t.run('explain', tokens[0], '--report', 'out', cwd=folder)
    t.code('--report', ran, 0)
    t.same('... is a report', ran, [tokens[0] + '.ppcase'],
           os.listdir(os.path.join(folder, 'out', 'cases')))
    with open(os.path.join(folder, 'out', 'index.html'), encoding='utf-8') as f:
        t.has('... whose page has the story', ran, 'id="story-0-0"', f.read())
    run = t.run('run', 'f.sql', '--report', 'all', cwd=folder)
    with open(os.path.join(folder, 'all', 'index.html'), encoding='utf-8') as f:
        t.has('run --report tells it, too', run, 'id="story-0-0"', f.read())


def check_wal(t):
    """WAL/NORMAL: frames are lost; FULL mends it. The budget is counted in recoveries."""
    folder, tokens = cases(t, LOSES)
    ran, story = tell(t, folder, tokens[0])
    t.check(story['grade'] == 'consistent' and 'gone' in presences(story), 'commits are gone', ran,
            'gone', presences(story))
    t.check(any('frame' in words for words in ops_of(story, 'lost')), 'frames are lost', ran,
            'frame', ops_of(story, 'lost'))
    t.has('the setting', ran, 'NORMAL', story['allowed'])
    t.same('the fix', ran, 'synchronous=full instead of normal', story['fixes'][0]['what'])
    t.same('the missing syncs: one for each commit that is gone', ran,
           [('commit-before-ack', True)] * presences(story).count('gone'),
           [(m['rule'], m['matters']) for m in story['missing']])
    ran, story = tell(t, folder, tokens[0], '--budget', '5r')
    t.same('a budget that ends proves nothing', ran, ([], None),
           (story['fixes'], story['missing'][0]['matters']))
    t.has('... and is said', ran, 'budget', story['fixes_words'])
    ran = t.run('explain', tokens[0], '--budget', '5s', cwd=folder)
    t.code('a budget of seconds is refused', ran, 2)


def check_torn(t):
    """synchronous=off: what could be proved is told apart from what was only tried."""
    folder, tokens = cases(t, OFF, oracle='history')
    torn = [tell(t, folder, token) for token in tokens]
    ran, story = [x for x in torn if x[1]['grade'] == 'torn'][0]
    t.same('a state that never existed', ran, ['unknown'], presences(story))
    t.check({'lost', 'kept'} <= {o['fate'] for o in story['ops']}, 'a page is there, another not',
            ran, 'lost and kept', [o['fate'] for o in story['ops']])
    t.has('the row that shows it', ran, 'as before transaction 1', str(story['rows']))
    folder, tokens = cases(t, OFF, oracle='recovery')
    ran, story = tell(t, folder, tokens[0])
    t.check('torn' in [o['fate'] for o in story['ops']], 'a write of the journal is torn', ran,
            'torn', [o['fate'] for o in story['ops']])
    whats = [f['what'] for f in story['fixes']]
    t.check(not any(w.startswith('synchronous=normal') for w in whats),
            'what does not help is no fix', ran, 'no synchronous=normal', whats)
    t.has('... and it is said that it was tried', ran, 'synchronous=normal', story['fixes_words'])
    t.check(any('synchronous=' in w for w in whats), 'what helps is one', ran, 'a fix', whats)
    t.check(any(not s['this_one'] for s in story['states']) and
            sum(s['this_one'] for s in story['states']) == 1, 'one state is that of the case', ran,
            1, [s['this_one'] for s in story['states']])


def check_again(t):
    """A second crash: what the first recovery did, and what of it was lost."""
    folder, tokens = cases(t, UNSYNCED, '--depth', '2')
    ran, story = tell(t, folder, tokens[0])
    t.check(story['again'] is not None and 'once more' in story['crash_words'],
            'the second crash is told', ran, 'once more', story['crash_words'])
    said = ' '.join(story['recovery'])
    for words in ('the first recovery', 'when the second crash came', 'the second recovery'):
        t.has('... and what came of it', ran, words, said)


def check_killer(t):
    """A state that ends the process of SQLite is told, as far as it came."""
    library = build_library(t, EXTENSION)
    folder, tokens = cases(t, DIES % (library, 'segv'), oracle='recovery')
    ran, story = tell(t, folder, tokens[0])
    t.has('how it ends', ran, 'SIGSEGV', story['message'])
    t.check('lost' in [o['fate'] for o in story['ops']], 'what was lost', ran, 'lost',
            [o['fate'] for o in story['ops']])
    t.has('that it died', ran, 'it died', ' '.join(story['recovery']))
    t.same('it is one of the states', ran, ['recovery'],
           [s['oracle'] for s in story['states'] if s['this_one']])
    path = os.path.join(folder, '.plugpull', 'cases', tokens[0] + '.ppcase')
    t.code('a stranger\'s case that loads code is refused',
           t.run('explain', path, cwd=t.folder()), 2)


def check_program(t):
    """A recorded program: no settings to change, a sync that is proved, nothing of the machine."""
    folder = t.folder()
    t.write(folder, 'app.py', APP)
    ran = t.run('test', '--require', 'durable', '--ack', 'output', '--json', 'r.json', '--check',
                CHECK, '--', 'python3', 'app.py', cwd=folder)
    with open(os.path.join(folder, 'r.json'), encoding='utf-8') as f:
        found = {v['oracle']: v['token'] for v in json.load(f)['cases'][0]['violations']}
    t.check('history' in found, 'the program loses a commit', ran, 'history', found)
    ran, story = tell(t, folder, found['history'])
    t.same('a sync would mend it', ran, (['set synchronous=EXTRA'], True),
           ([f['what'][:21] for f in story['fixes']], story['missing'][0]['matters']))
    t.has('... and settings are the program\'s', ran, 'recorded program', story['fixes_words'])
    t.check('hunter' not in ran.out and folder not in ran.out,
            'neither data nor the machine\'s paths', ran, 'none',
            re.findall(r'.*(?:hunter|' + re.escape(folder) + ').*', ran.out)[:3])
    t.same('the files', ran, {'app.db', 'app.db-journal', '.'},
           {f['path'] for f in story['files']})
    if 'check' in found:
        ran, story = tell(t, folder, found['check'])
        t.same('--check: nothing is proved', ran, [], story['fixes'])
        t.has('... because it saw a sample', ran, 'sample', story['fixes_words'])
        t.check('lost' in [o['fate'] for o in story['ops']], '... but what was lost is told', ran,
                'lost', [o['fate'] for o in story['ops']])


def check_gone(t):
    """A finding that is gone ends with 4, and what is no case with 2."""
    folder, tokens = cases(t, LOSES)
    t.code('no such case', t.run('explain', 'pp1-0', cwd=folder), 2)
    path = os.path.join(folder, '.plugpull', 'cases', tokens[0] + '.ppcase')
    import files  # pylint: disable=import-outside-toplevel
    with open(path, 'rb') as f:
        content, trace = files.split_case(f.read())
    content['state']['answers'] = [0] * len(content['state']['answers'])
    with open(os.path.join(folder, 'gone.ppcase'), 'wb') as f:
        f.write(files.join_case(content, trace))
    ran, story = tell(t, folder, 'gone.ppcase', code=4)
    t.has('... and says so', ran, 'gone', story.get('verdict', ''))


def check(t):
    check_orders(t)
    check_report(t)
    check_wal(t)
    check_torn(t)
    check_again(t)
    check_killer(t)
    check_program(t)
    check_gone(t)
    planted.check(t)

"""Files outside the databases, as an @invariant sees them: in every crash state, in legal states,
and after real kills."""

SCENARIO = '-- @scenario files\n-- @pragma journal_mode=delete synchronous=extra\n'
SETUP = '-- @setup\nCREATE TABLE t(x);\n'
CLIENT = '-- @client c repeat=2\nINSERT INTO t VALUES (:i);\n'
TWO = '-- @attach other copy.db\n'
COPY = '-- @setup\nCREATE TABLE t(x);\nCREATE TABLE other.u(x);\n'

# Queries that must return no row, and do; with what the scenario has besides.
HOLD = (
    ('a file that never was', "plugpull_file_bytes('gone.log') IS NOT NULL", '', SETUP),
    ('its content', "plugpull_file_fnv1a64('gone.log') IS NOT NULL", '', SETUP),
    ('as a database', "plugpull_database_problem('gone.log') IS NOT 'no such file'", '', SETUP),
    ('nothing', 'plugpull_file_bytes(NULL) IS NOT NULL', '', SETUP),
    ('a file that is there', "plugpull_file_bytes('main.db') < 8192", '', SETUP),
    ('another database', "plugpull_database_problem('copy.db') IS NOT NULL", TWO, COPY),
    ('its size', "plugpull_file_bytes('copy.db') % 512 <> 0", TWO, COPY),
)
# Queries that cannot be asked, and what is said of them.
WRONG = ("plugpull_file_bytes('../main.db')", "plugpull_file_fnv1a64('/main.db')",
         "plugpull_database_problem('')", "plugpull_file_bytes('a//b')")


def invariant(text, condition):
    return f'-- @invariant "{text}"\nSELECT \'{text}\' WHERE {condition};\n'


def case_of(t, ran):
    return t.get('outside: a case', ran, ran.case) or {}


def check_answers(t):
    for name, condition, head, setup in HOLD:
        for opposite in (False, True):
            asked = f'NOT ({condition})' if opposite else condition
            ran = t.run_text(SCENARIO + head + invariant(name, asked) + setup + CLIENT)
            case = case_of(t, ran)
            t.same(f'outside: {name}' + (', the opposite' if opposite else ''), ran,
                   (1, 'violated', 'corrupt') if opposite else (0, 'held', 'durable'),
                   (ran.code, case.get('verdict'), case.get('grade')))


def check_states(t):
    """What is asked changes between crash states, and while the history is read."""
    grows = SCENARIO + '-- @pragma page_size=512\n' + SETUP + \
        '-- @client c repeat=3\nINSERT INTO t VALUES (zeroblob(600));\n'
    most = "plugpull_file_bytes('main.db') > (SELECT 512 * (2 + 2 * count(*)) FROM t)"
    ran = t.run_text(grows + invariant('no longer than its rows', most))
    t.same('outside: the answer follows the state', ran, (0, 'held'),
           (ran.code, case_of(t, ran).get('verdict')))
    ran = t.run_text(grows + invariant('short', "plugpull_file_bytes('main.db') > 2048"))
    t.same('outside: and is asked in each', ran, (1, 'corrupt'),
           (ran.code, case_of(t, ran).get('grade')))


def check_wrong(t):
    for call in WRONG:
        ran = t.run_text(SCENARIO + SETUP + CLIENT + invariant('wrong', f'{call} IS NULL'))
        t.has(f'outside: {call} is no answer', ran, 'below the folder', ran.out)
    ran = t.run('run', 'f.sql', cwd=t.scenario(
        SCENARIO + SETUP + "-- @client c\nINSERT INTO t VALUES (plugpull_file_bytes('a'));\n"))
    t.refused('outside: a client has no such function', ran, 'f.sql:6', 'no such function')


def check_kill(t):
    text = SCENARIO + SETUP + CLIENT + \
        invariant('there', "plugpull_file_bytes('main.db') IS NULL") + \
        invariant('sound', "plugpull_database_problem('main.db') IS NOT NULL")
    ran = t.run('kill', 'f.sql', '--budget', '2r', '--json', '-', cwd=t.scenario(text))
    case = case_of(t, ran)
    t.check(ran.code in (0, 4) and case.get('violations') == [], 'outside: kill, real files', ran,
            'no violation', ran.out)
    text = text.replace("'main.db') IS NULL", "'main.db') > 0")
    ran = t.run('kill', 'f.sql', '--budget', '2r', '--json', '-', cwd=t.scenario(text))
    t.same('outside: kill, found', ran, (1, 'corrupt'), (ran.code, case_of(t, ran).get('grade')))


def check(t):
    check_answers(t)
    check_states(t)
    check_wrong(t)
    check_kill(t)

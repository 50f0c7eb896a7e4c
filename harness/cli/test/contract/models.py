"""Disk models: presets, parameters, models of a scenario's own, combinations that make no sense."""
from commands import MODELS
from results import losing
from scenarios import ROWS, outcome, run_case

DEFINED = ROWS.replace('-- @setup', '-- @define-model mine fsync=lies sector=512\n'
                       '-- @models mine strict-posix\n-- @setup', 1)


def check_presets(t):
    """A disk that keeps nothing, and those that keep what was synced, tell the same program apart."""
    lost = {'apfs-no-fullfsync', 'apfs-barrier', 'legacy-512-nopsow', 'lying-disk'}
    for model in MODELS:
        ran = t.run_text(ROWS, '--json', '-', '--model', model)
        case = ran.case()
        grade = 'consistent' if model in lost else 'durable'
        t.same(f'WAL at FULL under {model}', ran, (grade, True, model),
               (case['grade'], case['exhaustive'], case['model']))
    ran = t.run_text(ROWS, '--model', 'legacy-512-nopsow')
    t.check('garbage of seed 1' in ran.out and 'powersafe overwrite' in ran.out,
            'a run with garbage says for which one it is exhaustive', ran, 'a note', ran.out)


def check_defined(t):
    folder, ran, token, path = losing(t, DEFINED)
    mine, posix = ran.json()['cases']
    t.same('@define-model: its name stands in id and model', ran,
           ('f@mine', 'mine', 'f@strict-posix'), (mine['id'], mine['model'], posix['id']))
    t.same('@define-model: its parameters hold', ran,
           ('corrupt', 'durable', '512'),
           (mine['grade'], posix['grade'], mine['config'].get('model.sector')))
    again = t.run('replay', path, '--json', '-', cwd=t.folder())
    t.same('@define-model: a case replays without the scenario', again,
           (1, 'mine', 'corrupt'), (again.code, again.case()['model'], again.case()['grade']))
    ran = t.run('run', 'f.sql', '--model', 'mine', '--json', '-', cwd=folder)
    t.same('--model names a defined model', ran, [('f@mine', 'corrupt')],
           [(c['id'], c['grade']) for c in ran.json()['cases']])
    ran = t.run('run', 'f.sql', '--set', 'model.fsync=honest', '--json', '-', cwd=folder)
    t.same('--set changes a defined model', ran, 'durable', ran.case()['grade'])
    rule = DEFINED.replace('-- @setup', '-- @require corrupt if model=mine\n-- @setup', 1)
    outcome(t, '@require if model= a defined model', rule, 0, 'held', 'corrupt')


def check_parameters(t):
    """Each parameter reaches the disk: it changes how many states there are."""
    text = '-- @scenario every kind of file operation\n' \
        '-- @pragma journal_mode=delete synchronous=normal page_size=512\n-- @require corrupt\n' \
        '-- @attach aux other.db\n-- @setup\nCREATE TABLE t(x);\nCREATE TABLE aux.u(x);\n' \
        '-- @client a repeat=2\nBEGIN;\nINSERT INTO t VALUES (zeroblob(600));\n' \
        'INSERT INTO u VALUES (1);\nCOMMIT;\n'
    _, plain = run_case(t, text, '--set', 'model.sector=512')
    for setting in ('reorder=file', 'reorder=none', 'namespace=ordered', 'fsync=lies',
                    'fsync=barrier', 'fsync-entry=yes', 'fsync-scope=filesystem',
                    'size-after-data=yes', 'psow=no', 'sector=4096'):
        ran, case = run_case(t, text, '--set', 'model.sector=512', '--set', f'model.{setting}')
        t.check(case['states'] != plain['states'],
                f'model.{setting} changes the states', ran, f'not {plain["states"]}',
                case['states'])
    # A journal whose blocks show an earlier journal: it looks hot, and is not.
    text = ROWS.replace('wal', 'truncate')
    for hole, grade in (('zero', 'durable'), ('garbage', 'durable'), ('stale', 'consistent')):
        outcome(t, f'model.hole={hole}', text, 0 if hole != 'stale' else 1,
                'held' if hole != 'stale' else 'violated', grade, '--set', f'model.hole={hole}')


def check_combinations(t):
    text = ROWS.replace('-- @setup', '-- @matrix model.reorder=any,file model.hole=zero,stale\n'
                        '-- @setup', 1)
    ran = t.run_text(text, '--json', '-')
    found = {case['id'].partition('[')[2]: case for case in ran.json()['cases']}
    case = found['model.hole=stale,model.reorder=file]']
    t.same('a combination that makes no sense is skipped, the others are not', ran,
           (0, 'skipped', 3),
           (ran.code, case['verdict'], sum(c['verdict'] == 'held' for c in found.values())))
    t.check('do not go together' in (case['reason'] or ''), 'with a reason', ran,
            'do not go together', case['reason'])
    ran = t.run_text(ROWS, '--model', 'process-crash', '--set', 'model.sector=512', '--json', '-')
    t.same('nothing but such combinations is exit 4', ran, (4, 'skipped'),
           (ran.code, ran.case()['verdict']))
    t.check('sector does not apply' in ran.case()['reason'], 'a process crash has no parameters',
            ran, 'sector does not apply', ran.case()['reason'])


def check_limits(t):
    """A directory in which more happens than the index holds: nothing was looked at, and that is said."""
    text = '-- @scenario a super-journal each time\n-- @attach b b.db\n-- @models xfs strict-posix\n' \
        '-- @pragma journal_mode=delete synchronous=full\n-- @setup\nCREATE TABLE main.t(a);\n' \
        'CREATE TABLE b.t(a);\n-- @client a repeat=3500\nBEGIN;\nINSERT INTO main.t VALUES (1);\n' \
        'INSERT INTO b.t VALUES (1);\nCOMMIT;\n'
    ran = t.run_text(text, '--model', 'xfs', '--json', '-')
    t.same('more names than are decided together is inconclusive', ran,
           (4, 'inconclusive', False, True),
           (ran.code, ran.case()['verdict'], ran.case()['exhaustive'],
            'the limit is' in (ran.case()['reason'] or '')))


def check(t):
    for part in (check_presets, check_defined, check_parameters, check_combinations, check_limits):
        t.part(part)

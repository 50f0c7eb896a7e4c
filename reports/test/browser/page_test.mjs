/*
 *     page_test.mjs MODULES PAGES CHROMIUM [SHOTS]
 *
 * The HTML report in a browser, as people use it: clicked, typed at, linked into, narrow, dark,
 * without scripts, with hostile data, with 20,000 operations. browser.py calls it. Figures of time
 * are printed and never judged.
 */
import {execFileSync} from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import {caseTests} from './case_tests.mjs';
import {Harness} from './harness.mjs';

const [,, modules, pages, chromium, shots] = process.argv;
const harness = new Harness(modules, pages, chromium);
const JOURNAL = 'transfer@strict-posix[journal_mode=delete,synchronous=full]';
const TWO = 'attached-wal@strict-posix';
const WAL = 'transfer@strict-posix[journal_mode=wal,synchronous=normal]';
const caseHash = (id, rest = '') => `#/case/${encodeURIComponent(id)}${rest}`;

/* Every route that shows something else. */
const ROUTES = [['run', ''], ['run', caseHash(JOURNAL)], ['run', caseHash(WAL)],
	['run', caseHash('attached-wal@strict-posix')], ['run', caseHash('workflow@strict-posix')],
	['run', caseHash('bad@strict-posix')], ['run', '#/case/nothing'], ['plain', ''], ['held', ''],
	['held', '#/case/0'], ['hostile', ''], ['hostile', '#/case/6'], ['long', ''], ['long', '#/case/6'],
	['ops5000', '#/case/0']];

await harness.start();

/* ---- each page, in each way to look at it ---- */

for (const scheme of ['light', 'dark']) {
	for (const width of [1280, 390]) {
		await harness.test(`every page, ${scheme}, ${width} pixels wide: silent, no wider than the window`,
			{colorScheme: scheme, viewport: {width, height: 844}}, async (page, t) => {
				for (const [name, hash] of ROUTES) {
					await page.goto('about:blank');
					await t.open(name, hash);
					await page.waitForSelector('#app main h1');
					const wide = await page.evaluate(() => document.scrollingElement.scrollWidth);

					t.ok(wide <= width, `${name}${hash} is ${wide} pixels wide`);
					t.ok(!await page.locator('#plain').isVisible(), `${name}${hash}: the plain table shows`);
					const text = await page.evaluate(() => document.querySelector('#app').innerText);

					t.ok(!/\b(undefined|null|NaN|\[object)\b/.test(text.replaceAll('nullified', '')),
						`${name}${hash} shows ${/.*\b(undefined|null|NaN|\[object)\b.*/.exec(text)}`);
					if (shots)
						await page.screenshot({fullPage: true, path: path.join(shots,
							`${name}-${ROUTES.findIndex((r) => r[1] === hash && r[0] === name)}-` +
							`${scheme}-${width}.png`)});
				}
			});
	}
}

for (const scheme of ['light', 'dark']) {
	await harness.test(`axe-core finds nothing on any page, ${scheme}`, {colorScheme: scheme, bypassCSP: true},
		async (page, t) => {
			for (const [name, hash] of ROUTES) {
				await page.goto('about:blank');
				await t.open(name, hash);
				await page.addScriptTag({path: harness.axe});
				const found = await page.evaluate(() => axe.run(document, {resultTypes: ['violations']}));

				for (const v of found.violations)
					t.ok(false, `${name}${hash.slice(0, 40)}: ${v.id}: ${v.help}: ` + v.nodes.slice(0, 3)
						.map((n) => `${n.target} ${n.failureSummary.slice(0, 240)}`).join('; '));
			}
		});
}

/* ---- without scripts, without storage, with a script that fails ---- */

await harness.test('without scripts: the verdict, all cases, and how to replay',
	{javaScriptEnabled: false}, async (page, t) => {
		await t.open('run');
		t.ok(await page.locator('#plain h1').isVisible(), 'no verdict');
		t.same(await page.locator('#plain tbody tr').count(), 25, 'rows');
		t.ok((await page.locator('#plain').innerText()).includes('plugpull replay cases/pp1-e01632289a4d88bb'),
			'no replay command');
	});

await harness.test('a page whose data cannot be read falls back to the table', {loud: true}, async (page, t) => {
	const file = path.join(pages, 'broken.html');

	fs.writeFileSync(file, fs.readFileSync(path.join(pages, 'run.html'), 'utf8')
		.replace('id="data">{', 'id="data">{{'));
	await t.open('broken');
	t.ok(await page.locator('#plain table').isVisible(), 'no table');
});

await harness.test('storage that is forbidden does no harm', {
	init: () => Object.defineProperty(window, 'localStorage', {get() {
		throw new DOMException('forbidden', 'SecurityError');
	}})}, async (page, t) => {
	await t.open('run');
	await page.keyboard.press('t');
	t.same(await page.evaluate(() => document.documentElement.dataset.theme), 'light', 'theme');
});

await harness.test('the policy keeps other scripts, styles and connections out', {loud: true}, async (page, t) => {
	await t.open('run');
	const blocked = await page.evaluate(async () => {
		const seen = [];

		document.addEventListener('securitypolicyviolation', (e) => seen.push(e.effectiveDirective));
		const script = document.createElement('script');

		script.textContent = 'window.intruder = 1';
		document.body.append(script);
		const div = document.createElement('div');

		div.innerHTML = '<b style="color: red" onclick="x()">x</b>';
		document.body.append(div);
		div.firstChild.click();
		await fetch('https://example.invalid/').catch(() => {});
		const image = new Image();

		image.src = 'https://example.invalid/x.png';
		await new Promise((done) => setTimeout(done, 200));
		return {seen: seen.sort(), intruder: window.intruder};
	});

	t.same(blocked.intruder, undefined, 'a script ran');
	for (const directive of ['script-src-elem', 'script-src-attr', 'style-src-attr', 'connect-src', 'img-src'])
		t.ok(blocked.seen.includes(directive), `${directive} was not blocked: ${blocked.seen}`);
});

/* ---- the page of a run ---- */

await harness.test('each case of the table opens its page, and back returns', {}, async (page, t) => {
	await t.open('run');
	const ids = await page.locator('.cases td.id a').allInnerTexts();

	t.same(ids.length, 25, 'cases');
	for (const [i, id] of ids.entries()) {
		await page.locator('.cases td.id a').nth(i).click();
		await page.waitForSelector('main.case');
		t.same(await page.locator('.bar .here').innerText(), id, 'the case that opened');
		t.ok((await page.locator('#app h1').innerText()).length > 10, `${id}: no verdict`);
		t.same(await page.evaluate(() => document.activeElement.id), 'main', 'focus');
		await page.goBack();
		await page.waitForSelector('main.run');
	}
});

await harness.test('filters, search and sorting agree with the data and survive a reload', {}, async (page, t) => {
	const shown = () => page.locator('.cases td.id a').allInnerTexts();
	const expected = (test) => page.evaluate(`RESULT.cases.filter(${test}).map((c) => c.id).sort()`);

	await t.open('run');
	await page.getByRole('button', {name: /^violated/}).first().click();
	t.same((await shown()).sort(), await expected("(c) => c.verdict === 'violated'"), 'violated');
	await page.getByRole('button', {name: /^torn/}).first().click();
	t.same((await shown()).sort(), await expected("(c) => c.verdict === 'violated' && c.grade === 'torn'"),
		'violated and torn');
	await page.fill('#search', 'persist');
	t.same((await shown()).length, 1, 'violated, torn, persist');
	t.ok(page.url().includes('verdict=violated') && page.url().includes('q=persist'), page.url());
	await page.reload();
	t.same((await shown()).length, 1, 'after a reload');
	t.same(await page.inputValue('#search'), 'persist', 'the search after a reload');
	await page.fill('#search', 'no such thing');
	t.same((await shown()).length, 0, 'nothing matches');
	await page.fill('#search', '');
	await page.getByRole('button', {name: /^violated/}).first().click();
	await page.getByRole('button', {name: /^torn/}).first().click();
	t.same((await shown()).length, 25, 'no filter');
	await page.getByRole('button', {name: /^process-crash/}).click();
	t.same((await shown()), ['attached-wal@process-crash'], 'model');
	await page.getByRole('button', {name: /^process-crash/}).click();
	await page.locator('.cases').getByRole('button', {name: 'case', exact: true}).click();
	const ids = await shown();

	t.same(ids, [...ids].sort(), 'sorted by id');
	t.same(await page.locator('th[aria-sort]').getAttribute('aria-sort'), 'ascending', 'aria-sort');
	await page.locator('.cases').getByRole('button', {name: 'case', exact: true}).click();
	t.same(await shown(), [...ids].sort().reverse(), 'sorted the other way');
	await page.locator('.cases').getByRole('button', {name: 'can lose'}).click();
	t.same((await shown())[0], 'bank@strict-posix[synchronous=normal]', 'what loses most');
});

await harness.test('the grid has every case once, with its grade', {}, async (page, t) => {
	await t.open('run');
	const hrefs = await page.locator('#matrix .case-mark').evaluateAll((marks) =>
		marks.map((mark) => decodeURIComponent(mark.getAttribute('href').slice(7))));

	t.same(hrefs.sort(), await page.evaluate('RESULT.cases.map((c) => c.id).sort()'), 'cases');
	const cell = page.locator('#matrix .axes tbody tr', {hasText: 'wal'}).locator('td').nth(2);

	t.ok((await cell.innerText()).includes('consistent'), await cell.innerText());
	t.ok((await cell.innerText()).includes('−2'), await cell.innerText());
});

await harness.test('every number leads to a command: by mouse, by keyboard, by click', {}, async (page, t) => {
	await t.open('run');
	const bare = await page.evaluate(() => [...document.querySelectorAll('td.number, .stat dd')]
		.filter((cell) => !cell.querySelector('.sourced') && !/^[0–]$/.test(cell.textContent)).length);

	t.same(bare, 0, 'numbers without a source');
	const number = page.locator('.cases .sourced').first();

	await number.hover();
	await page.waitForSelector('.popover');
	t.ok((await page.locator('.popover code').innerText()).startsWith('plugpull '), 'hover');
	await page.mouse.move(5, 5);
	await page.waitForSelector('.popover', {state: 'detached'});
	await number.click();
	t.ok(await page.locator('.popover').isVisible(), 'click');
	await page.keyboard.press('Escape');
	t.same(await page.locator('.popover').count(), 0, 'Escape');
	await page.locator('.stat .sourced').first().focus();
	await page.keyboard.press('Tab');
	await page.waitForSelector('.popover');
	await page.keyboard.press('Escape');
	t.same(await page.locator('.popover').count(), 0, 'Escape from focus');
	const commands = await page.evaluate('RESULT.cases.map((c, i) => caseCommand(i))');

	const ids = await page.evaluate('RESULT.cases.map((c) => c.id)');

	t.same(commands.length, ids.length, 'a command for each case');
	t.ok(commands.every((c) => c.startsWith('plugpull run scenarios --require durable --case ')),
		commands.join('\n'));
	t.ok(commands.some((c) => c.includes("'transfer@strict-posix[journal_mode=delete,")),
		commands.join('\n'));
});

await harness.test('a copy button copies the command, exactly as a shell reads it',
	{permissions: ['clipboard-read', 'clipboard-write']}, async (page, t) => {
		await t.open('hostile', '#/');
		const id = await page.evaluate('RESULT.cases[6].id');
		const command = await page.evaluate('caseCommand(6)');
		const words = execFileSync('sh', ['-c', `printf '%s\\0' ${command}`]).toString().split('\0');

		t.same(words[6], id, 'the case as one argument');
		t.same(words.length, 8, 'and nothing behind it');
		await t.open('run', caseHash(JOURNAL));
		await page.locator('.commands .copy').first().click();
		t.same(await page.evaluate(() => navigator.clipboard.readText()),
			'plugpull replay cases/pp1-e01632289a4d88bb0fd4753ffb8fc832.ppcase', 'clipboard');
	});

/* ---- keyboard ---- */

await harness.test('everything is reached from the keyboard', {}, async (page, t) => {
	const active = (what) => page.evaluate(`document.activeElement && document.activeElement.${what}`);

	await t.open('run');
	await page.keyboard.press('Tab');
	t.same(await active('className'), 'skip', 'the first stop');
	await page.keyboard.press('Enter');
	t.same(await active('id'), 'main', 'the skip link');
	await page.keyboard.press('/');
	t.same(await active('id'), 'search', '/');
	await page.keyboard.type('transfer ?');
	t.same(await page.locator('dialog').count(), 0, '? while typing');
	await page.fill('#search', 'transfer');
	await page.keyboard.press('Escape');
	await page.keyboard.press('j');
	await page.keyboard.press('j');
	t.same(await active('textContent'), (await page.locator('.cases td.id a').allInnerTexts())[1], 'j j');
	await page.keyboard.press('Enter');
	await page.waitForSelector('main.case');
	await page.keyboard.press('u');
	await page.waitForSelector('main.run');
	await page.keyboard.press('?');
	t.ok(await page.locator('dialog').isVisible(), '?');
	const documented = await page.locator('dialog kbd').allInnerTexts();

	for (const key of ['?', 't', 'u', '/', 'j', 'k', '[', ']', 'o', 'n', 'p', 'c', '0'])
		t.ok(documented.includes(key), `${key} is not documented`);
	await page.keyboard.press('Escape');
	await page.waitForSelector('dialog', {state: 'detached'});
	await page.goto('about:blank');
	await t.open('run', caseHash('attached-wal@strict-posix'));
	await page.keyboard.press('n');
	await page.waitForFunction(() => document.querySelector('.eyebrow').textContent.includes('leftovers'));
	t.ok(page.url().endsWith('/pp1-1ef70ee5'), page.url());
	await page.keyboard.press('p');
	await page.waitForFunction(() => document.querySelector('.eyebrow').textContent.includes('invariant'));
	/* Round the page by Tab: it ends, nothing traps, and what has the focus can be seen. */
	for (let i = 0; i < 60; i++) {
		await page.keyboard.press('Tab');
		const seen = await page.evaluate(() => {
			const box = document.activeElement.getBoundingClientRect();

			return document.activeElement === document.body || (box.width > 0 && box.height > 0);
		});

		t.ok(seen, `stop ${i} has no size: ${await active('outerHTML')}`);
	}
});

await harness.test('light, dark and the system\'s colours; the choice outlives a reload',
	{colorScheme: 'dark'}, async (page, t) => {
		const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);

		await t.open('run', caseHash(WAL));
		const dark = await background();

		await page.keyboard.press('t');
		const light = await background();

		t.same(light, 'rgb(255, 255, 255)', 'light');
		t.ok(dark !== light, 'dark is light');
		await page.reload();
		t.same(await background(), light, 'after a reload');
		await page.getByRole('button', {name: 'colours: light'}).click();
		t.same(await background(), dark, 'dark by choice');
	});

/* ---- the page of a case ---- */

for (const [name, id] of [['journal', JOURNAL], ['wal', WAL], ['two files', 'attached-wal@strict-posix']]) {
	await harness.test(`the story of ${name} is told, all of it`, {}, async (page, t) => {
		await t.open('run', caseHash(id));
		const story = await page.evaluate('current.told.model.story');
		const text = (await page.locator('main').innerText()).replaceAll('\u202f', '');

		t.same(await page.locator('#app h1').innerText(), story.verdict, 'verdict');
		for (const part of [story.message, `plugpull replay cases/${story.token}.ppcase`, story.crash_words, story.allowed,
			story.rows_against, story.fixes_words, ...story.recovery,
			...story.missing.map((m) => m.message),
			...story.fixes.flatMap((f) => [f.what, f.proof, f.command]),
			...story.rows.map((row) => row.where)].filter(Boolean))
			t.ok(text.includes(part), `not there: ${part}`);
		t.same(await page.locator('.rows tbody tr').count(), story.rows.length, 'rows');
		t.same(await page.locator('.source .involved').count(),
			story.source.filter((line) => line.involved).length, 'lines involved');
		t.same(await page.locator('.lane-label .lane-name').allInnerTexts().then((names) => names.length >=
			story.files.length), true, 'lanes');
		t.same(await page.locator('.missing li').count() + await page.locator('.missing .place').count(),
			story.missing.length, 'places of syncs');
		t.same(await page.locator('.missing li.matters').count() > 0, story.missing.some((m) => m.matters),
			'syncs that matter');
		/* The fold-outs. */
		for (const fold of await page.locator('#environment .fold summary').all())
			await fold.click();
		t.ok((await page.locator('.raw pre').first().innerText()).includes(`"id": "${id}"`), 'raw case');
	});
}

await harness.test('marks differ by shape: lost is crossed, torn is half, unasked is dashed', {}, async (page, t) => {
	await t.open('run', caseHash(WAL));
	await page.waitForFunction('current.told.timeline.measured.frames > 0');
	const fates = await page.evaluate('current.told.model.pending.map((i) => current.told.model.fate(i))');
	const count = (fate) => fates.filter((f) => f === fate).length;
	const styled = (part) => page.evaluate((p) => [...document.querySelectorAll('.field svg *')]
		.filter((e) => (e.getAttribute('style') || '').includes(p)).length, part);

	t.same(await page.evaluate('current.told.timeline.measured.surface'), 'svg', 'surface');
	t.same(await styled('stroke: var(--t-lost); stroke-width: 1.75'), 3 * count('lost'), 'box and two strokes each');
	t.ok(count('torn') === 1 && await page.locator('.field svg polygon[style*="--t-torn"]').count() === 1, 'torn');
	t.same(await page.locator('.field svg rect[style*="--t-unasked"][style*="dasharray"]').count(),
		count('unasked'), 'unasked');
	t.ok(await styled('--t-missing') >= 1, 'the missing sync');
	t.ok(await page.locator('.field svg text', {hasText: 'power fails here'}).count() === 1, 'the crash');
});

await harness.test('the slider shows each crash state: its fates, its outcome, how many it stands for', {},
	async (page, t) => {
		await t.open('run', caseHash(WAL));
		const strip = page.getByRole('slider', {name: 'crash state'});
		const story = await page.evaluate('current.told.model.story');
		const own = Number(await strip.getAttribute('aria-valuenow'));

		t.same(await strip.getAttribute('aria-valuemax'), String(story.states.length), 'states');
		t.same(await page.locator('.state.own').count(), 1, 'the own state');
		await strip.focus();
		await page.keyboard.press('Home');
		const order = await page.evaluate(
			'stateGroups(current.told.model.story.states).order.map((i) => current.told.model.story.states[i])');

		for (let n = 1; n <= story.states.length; n++) {
			const label = await strip.getAttribute('aria-valuetext');
			const state = order[n - 1];

			t.same(await strip.getAttribute('aria-valuenow'), String(n), 'position');
			t.ok(label.endsWith(state.outcome), `another outcome: ${label}`);
			t.ok((await page.locator('.state-words').innerText()) .startsWith(state.outcome), `outcome of ${n}`);
			const shown = await page.evaluate(() => {
				const m = current.told.model, fates = {};

				m.pending.forEach((i) => {
					fates[m.fate(i)] = (fates[m.fate(i)] || 0) + 1;
				});
				return fates;
			});

			for (const [fate, count] of Object.entries(shown)) {
				const word = fate === 'unasked' ? 'not asked' : fate;

				t.ok((await page.locator('.legend').innerText()).replace(/\s+/g, ' ')
					.includes(`${word} ${count}`), `state ${n}: the legend has not ${word} ${count}`);
			}
			if (n !== own)
				t.ok(page.url().includes(`state=${n}`), page.url());
			t.same(await page.locator('.other').isVisible(), n !== own, 'note of another state');
			await page.keyboard.press('ArrowRight');
		}
		t.same(await strip.getAttribute('aria-valuenow'), String(story.states.length), 'it ends at the end');
		await page.keyboard.press('o');
		t.same(await strip.getAttribute('aria-valuenow'), String(own), 'o');
		await page.keyboard.press('[');
		t.same(await strip.getAttribute('aria-valuenow'), String(own - 1), '[');
		const box = await strip.boundingBox();

		await page.mouse.click(box.x + box.width - 3, box.y + 8);
		t.same(await strip.getAttribute('aria-valuenow'), String(story.states.length), 'click');
		t.ok((await page.locator('.state-outcome').innerText()).includes('Every transaction'), 'its outcome');
		await page.locator('.op-choose').getByRole('button', {name: /^pending/}).click();
		const fates = await page.locator('.op-row[data-op] .op-fate').allInnerTexts();

		t.ok(!fates.includes('torn') && fates.includes('kept'), `the table follows: ${fates}`);
		/* A count that no floating-point number holds is exact behind the rounded one. */
		const large = order.findIndex((one) => one.count.length > 30);

		await strip.focus();
		await page.keyboard.press('Home');
		for (let n = 0; n < large; n++)
			await page.keyboard.press('ArrowRight');
		await page.locator('.state-outcome .sourced:not(.term)').click();
		t.ok((await page.locator('.popover').innerText()).replaceAll('\u202f', '')
			.includes('170141183460469231731687303715884105728'), 'the exact count');
	});

await harness.test('an operation is chosen in the timeline, the table or a link, and shown in all', {},
	async (page, t) => {
		await t.open('run', caseHash(JOURNAL));
		const details = async () => (await page.locator('.details').innerText()).split('\n')[0];
		const field = page.locator('.field');

		t.ok((await details()).startsWith('op 36 '), `chosen at first: ${await details()}`);
		await field.focus();
		await page.keyboard.press('ArrowRight');
		t.ok((await details()).startsWith('op 40 '), 'right');
		t.ok(page.url().endsWith('?op=40'), `the address: ${page.url()}`);
		await page.keyboard.press('ArrowUp');
		t.ok((await details()).startsWith('op 36 '), 'up: the pending one before');
		await page.keyboard.press('Home');
		t.ok((await details()).startsWith('statement PRAGMA'), 'Home');
		t.ok(await page.locator('.op-row.chosen').isVisible(), 'the row is in sight');
		await page.keyboard.press('End');
		t.same(await page.locator('.op-row.chosen').getAttribute('data-op'),
			String(await page.evaluate('current.told.model.count - 1')), 'End');
		await page.keyboard.press('c');
		await page.waitForTimeout(100);
		/* A mark, by the mouse. */
		const at = await page.evaluate(() => {
			const m = current.told.model, v = current.told.timeline.view, i = m.indexOf(30);

			return {x: (i + 0.5 - v.from) * v.scale, y: laneTop(m, m.laneOf[i]) + 20};
		});
		const box = await field.boundingBox();

		await page.mouse.click(box.x + at.x, box.y + at.y);
		t.ok((await details()).startsWith('op 30 '), `clicked: ${await details()}`);
		t.ok((await page.locator('.details').innerText()).includes('page 1, header and schema'), 'its words');
		await page.locator('.details').getByRole('button', {name: 'op 35'}).click();
		t.ok((await details()).startsWith('op 35 '), 'synced by');
		await page.locator('.op-row[data-op]').first().click();
		t.ok(!(await details()).startsWith('op 35 '), 'a row');
		await page.getByRole('button', {name: /^line 17/}).click();
		t.same(await details(), 'statement COMMIT', 'a line of the scenario');
		await page.locator('.op-choose').getByRole('button', {name: /^pending/}).click();
		t.same(await page.locator('.op-row[data-op]').count(), 1, 'pending only');
	});

await harness.test('zoom and pan: keys, buttons, wheel, dragging, the overview', {}, async (page, t) => {
	await t.open('ops5000', '#/case/0');
	const view = () => page.evaluate('({from: current.told.timeline.view.from, span: current.told.timeline.view.span})');
	const field = page.locator('.field');

	await field.scrollIntoViewIfNeeded();
	await field.focus();
	const start = await view();

	await page.keyboard.press('+');
	const near = await view();

	t.ok(near.span < start.span, '+');
	await page.keyboard.press('-');
	t.ok(Math.abs((await view()).span - start.span) < 1, '-');
	await page.keyboard.press('Shift+ArrowLeft');
	t.ok((await view()).from < start.from, 'pan');
	await page.keyboard.press('0');
	t.ok((await view()).span >= 5000, 'all');
	await page.getByRole('button', {name: 'crash: go there'}).click();
	const back = await view(), crash = await page.evaluate('current.told.model.crash');

	t.ok(back.from < crash && crash < back.from + back.span && back.span < 300, 'crash');
	const box = await field.boundingBox();

	await page.mouse.move(box.x + box.width / 2, box.y + 80);
	await page.keyboard.down('Control');
	await page.mouse.wheel(0, -200);
	await page.keyboard.up('Control');
	t.ok((await view()).span < back.span, 'wheel zooms');
	const before = await view(), scroll = await page.evaluate(() => scrollY);

	await page.mouse.wheel(120, 0);
	await page.waitForTimeout(100);
	t.ok((await view()).from > before.from, 'wheel pans');
	await page.mouse.wheel(0, 60);
	await page.waitForTimeout(200);
	t.ok(await page.evaluate(() => scrollY) !== scroll, 'the wheel alone scrolls the page');
	const moved = await field.boundingBox(), at = await view();

	await page.mouse.move(moved.x + 300, moved.y + 90);
	await page.mouse.down();
	await page.mouse.move(moved.x + 500, moved.y + 90, {steps: 5});
	await page.mouse.up();
	t.ok((await view()).from < at.from, 'dragging');
	const overview = await page.locator('.overview').boundingBox();

	await page.mouse.click(overview.x + 10, overview.y + 10);
	t.ok((await view()).from < 100, 'overview');
});

await harness.test('links into a case survive a reload; those that lead nowhere say so', {}, async (page, t) => {
	const link = caseHash(WAL, '/pp1-8902e5c40756f95e79d30ce643a2756a?op=19&state=23');

	for (const again of [false, true]) {
		await (again ? page.reload() : t.open('run', link));
		await page.waitForSelector('.details h3');
		t.ok((await page.locator('.details h3').innerText()).startsWith('op 19'), 'the operation');
		t.same(await page.getByRole('slider').getAttribute('aria-valuenow'), '23', 'the state');
	}
	for (const hash of ['#/case/nothing', '#/case/%', '#/case/%E0%A4%A', '#/case/0/pp1-nothing', '#/case/99',
		'#/case/' + encodeURIComponent('<img src=x>')]) {
		await page.goto('about:blank');
		await t.open('run', hash);
		t.same(await page.locator('#app h1').innerText(), 'No such case in this report', hash);
	}
	for (const hash of ['#/case/0', '#nonsense', '#/?verdict=%zz&sort=constructor', '#/?sort=__proto__', '#/x/y/z',
		caseHash(WAL, '?op=999999&state=-4'), caseHash(WAL, '?op=x&state=1e9')]) {
		await page.goto('about:blank');
		await t.open('run', hash);
		t.ok(await page.locator('#app main h1').isVisible(), hash);
	}
});

await caseTests(harness, {JOURNAL, WAL, TWO, caseHash});

/* ---- hostile data ---- */

await harness.test('data that looks like code is shown as text', {}, async (page, t) => {
	for (const hash of ['', '#/case/6', '#/case/6/1']) {
		await page.goto('about:blank');
		await t.open('hostile', hash);
		const found = await page.evaluate(() => ({
			images: document.images.length, scripts: document.querySelectorAll('#app script').length,
			handlers: document.querySelectorAll('[onclick], [onerror]').length,
			links: [...document.links].filter((a) => !/^#(\/|main$)/.test(a.getAttribute('href'))).length,
			turned: /[\u202a-\u202e\u2066-\u2069]/.test(document.body.innerText),
			shown: document.querySelector('#app').innerText.includes('</script><script>alert(1)</script>'),
			title: document.title,
		}));

		t.same([found.images, found.scripts, found.handlers, found.links, found.turned, found.shown],
			[0, 0, 0, 0, false, true], `hostile${hash}`);
		t.ok(!/[\u202a-\u202e]/.test(found.title), 'title');
	}
	for (const fold of await page.locator('summary').all())
		await fold.click();
	t.ok((await page.locator('#app').innerText()).includes('\\u{202e}'), 'what turns text is spelt out');
});

/* ---- size ---- */

for (const [name, count] of [['ops5000', 5000], ['ops20000', 20000]]) {
	await harness.test(`${count} operations: what is in the page is bounded`, {}, async (page, t) => {
		await t.open(name, '#/case/0');
		await page.waitForSelector('.op-row.chosen');
		t.same(await page.locator('.op-box').getAttribute('aria-rowcount'), String(count + 1), 'rows told');
		const elements = () => page.evaluate(() => document.querySelectorAll('*').length);
		const measure = async (what, from, to, span) => {
			const times = await page.evaluate(async ({from_, to_, span_}) => {
				const told = current.told, frames = 90, times_ = [], painting = [];

				for (let n = 0; n < frames; n++) {
					Object.assign(told.timeline.view, {from: from_ + (to_ - from_) * n / frames, span: span_});
					document.querySelector('.field').dispatchEvent(new WheelEvent('wheel',
						{deltaX: 1, cancelable: true}));
					const begin = performance.now();

					await new Promise((done) => requestAnimationFrame(() => {
						painting.push(performance.now() - begin);
						done();
					}));
					times_.push(performance.now() - begin);
				}
				times_.sort((a, b) => a - b);
				return {median: times_[frames >> 1], worst: times_[frames - 1],
					surface: told.timeline.measured.surface};
			}, {from_: from, to_: to, span_: span});

			console.log(`      ${count} operations, ${what}, ${times.surface}: a frame takes ` +
				`${times.median.toFixed(1)} ms, the slowest of 90 ${times.worst.toFixed(1)} ms`);
			t.ok(await elements() < 3000, `${what}: ${await elements()} elements`);
		};

		await measure('60 in sight, panned', count * 0.7, count * 0.8, 60);
		await measure('240 in sight, panned', count * 0.6, count * 0.8, 240);
		await measure('1000 in sight, panned', 0, count - 1000, 1000);
		await measure('all in sight', 0, 1, count + 2);
		t.same(await page.evaluate('current.told.timeline.measured.surface'), 'canvas', 'all: canvas');
		const scrolled = await page.evaluate(async () => {
			const box = document.querySelector('.op-box');
			let most = 0;

			for (let n = 0; n <= 60; n++) {
				box.scrollTop = box.scrollHeight * n / 60;
				await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
				most = Math.max(most, box.querySelectorAll('.op-row').length);
			}
			return {most, last: box.querySelector('.op-row:last-child .op-position').textContent};
		});

		t.ok(scrolled.most <= 40, `${scrolled.most} rows at once`);
		t.same(scrolled.last.replace(/\D/g, ''), String(count), 'the last row is reached');
		await page.getByRole('slider').focus();
		for (let n = 0; n < 20; n++)
			await page.keyboard.press('ArrowRight');
		t.ok(await elements() < 3000, 'after the slider');
	});
}

/* ---- other media ---- */

await harness.test('nothing moves for those who asked for that', {reducedMotion: 'reduce'}, async (page, t) => {
	await t.open('run');
	t.same(await page.evaluate(() => [...document.querySelectorAll('*')].filter((e) => {
		const style = getComputedStyle(e);

		return style.transitionDuration !== '0s' || style.animationName !== 'none';
	}).length), 0, 'elements that move');
});

await harness.test('printed, there is the content, and none of the buttons', {}, async (page, t) => {
	await t.open('run', caseHash(JOURNAL));
	await page.emulateMedia({media: 'print'});
	t.ok(!await page.locator('.bar .tools').isVisible() && !await page.locator('.copy').first().isVisible(), 'buttons');
	t.ok(await page.locator('#app h1').isVisible() && await page.locator('.field svg').isVisible(), 'content');
	t.ok((await page.pdf()).length > 20000, 'a PDF');
});

process.exitCode = await harness.stop();

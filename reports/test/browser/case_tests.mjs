/*
 * The page of a case, as somebody reads it who looks for the faulty statement: the SQL that was lost,
 * where a sync is missing, numbers that add up, links that lead somewhere, paper.
 */

const TOLD = 'current.told.model';

/* Whether all of it is in the window. */
const inSight = (locator) => locator.evaluate((e) => {
	const box = e.getBoundingClientRect();

	return box.height > 0 && box.bottom > 0 && box.top < innerHeight;
});

const title = async (page) => (await page.locator('.details h3').innerText()).replaceAll('\u202f', '');

/* The transactions that the timeline names; "3–5" names three. */
async function numbersNamed(page) {
	return (await page.locator('.field svg text').allTextContents()).flatMap((text) => {
		const [, a, b] = /^(\d+)(?:–(\d+))?(?= gone| partly|$)/.exec(text) || [];

		return a ? [...Array(Number(b || a) - a + 1).keys()].map((n) => n + Number(a)) : [];
	});
}

export async function caseTests(harness, {JOURNAL, WAL, TWO, caseHash}) {
	await harness.test('the SQL of each transaction that is wrong is told, with and without a scenario', {},
		async (page, t) => {
			for (const id of [JOURNAL, WAL]) {
				await page.goto('about:blank');
				await t.open('run', caseHash(id));
				const expected = await page.evaluate(`${TOLD}.story.transactions.flatMap((x, n) =>
					x.presence === 'gone' ? ${TOLD}.story.statements.filter((st) => st.transaction === n + 1)
						.map((st) => st.sql) : [])`);

				t.ok(expected.length >= 4, `${id}: the story has no SQL`);
				t.same(await page.locator('#wrong .wrong .sql code').allInnerTexts(), expected, `SQL of ${id}`);
			}
			await page.goto('about:blank');
			await t.open('run', caseHash(JOURNAL));
			await page.locator('#wrong .sql .op-link', {hasText: 'transfer.sql:13'}).click();
			const line = page.locator('.source [data-line="13"]');

			t.ok(await inSight(line) && await line.evaluate((e) => e === document.activeElement), 'the line');
			t.ok((await page.locator('#wrong').innerText()).includes('PRAGMA synchronous=full'), 'the setting');
		});

	await harness.test('an operation names all statements of its transaction, and the one that runs', {},
		async (page, t) => {
			await t.open('run', caseHash(JOURNAL, '?op=36'));
			t.same(await page.locator('.details .sql li').count(), 5, 'statements');
			t.same(await page.locator('.details .sql .running code').allInnerTexts(), ['COMMIT'], 'the running one');
			await page.goto('about:blank');
			await t.open('run', caseHash(JOURNAL, '?op=17'));
			t.ok((await page.locator('.details .sql .running').innerText()).startsWith('INSERT'), 'op 17');
			await page.goto('about:blank');
			/* The acknowledgement comes when COMMIT is through. */
			await t.open('run', caseHash(JOURNAL, '?op=40'));
			t.same(await page.locator('.details .sql-line').count(), 0, 'a statement at op 40');
		});

	await harness.test('statements are in the timeline and in the table, those of no transaction, too', {},
		async (page, t) => {
			await t.open('run', caseHash(JOURNAL));
			await page.waitForFunction('current.told.timeline.measured.frames > 0');
			const styled = (tag, part) => page.locator(`.field svg ${tag}[style*="${part}"]`).count();

			t.same(await styled('polygon', '--t-missing'), 1, 'a setting');
			t.same(await styled('rect', 'fill: var(--muted)'), 7, 'statements in sight');
			await page.locator('.op-choose').getByRole('button', {name: /^statements/}).click();
			const rows = await page.locator('.op-row[data-op]').allInnerTexts();

			t.same(rows.length, 8, 'rows');
			t.ok(rows[0].includes('PRAGMA synchronous=full'), rows[0]);
			await page.locator('.op-row[data-op]').first().click();
			t.ok((await title(page)).includes('PRAGMA synchronous=full'), await title(page));
			t.ok((await page.locator('.details').innerText()).includes('before op 13'), 'where it ran');
			t.ok(page.url().includes('op=s1'), page.url());
			await page.reload();
			t.ok((await title(page)).includes('PRAGMA synchronous=full'), 'after a reload');
		});

	await harness.test('every place of a missing sync is told and drawn; the first lost write is chosen', {},
		async (page, t) => {
			await t.open('run', caseHash(WAL));
			await page.waitForFunction('current.told.timeline.measured.frames > 0');
			const missing = await page.evaluate(`${TOLD}.story.missing`);
			const text = (await page.locator('#missing').innerText()).replaceAll('\u202f', '');

			t.same(missing.length, 2, 'places of the story');
			for (const m of missing)
				t.ok(text.includes(`between op ${m.after} and op ${m.before}`), `not told: ${m.after}`);
			t.ok(text.includes('all 2 places') && text.includes('4 more places'), text);
			t.same(await page.locator('.field svg rect[style*="--t-missing-soft"]').count(), 2, 'drawn');
			const first = await page.evaluate(`(() => {
				const m = ${TOLD}, n = m.story.transactions.findIndex((x) => x.presence === 'gone') + 1;

				return m.story.ops.find((op) => op.transaction === n &&
					(op.fate === 'lost' || op.fate === 'torn')).position;
			})()`);

			t.ok((await title(page)).startsWith(`op ${first} `), `${await title(page)}, not ${first}`);
		});

	await harness.test('the scenario opens at the lines involved, folds the rest, and is whole on paper', {},
		async (page, t) => {
			await t.open('run', caseHash(WAL));
			const shown = () => page.evaluate(() => [...document.querySelectorAll('.source .line')]
				.filter((e) => e.offsetHeight > 0).map((e) => Number(e.dataset.line)));
			const near = await page.evaluate(`${TOLD}.story.source.map((_, i) => i + 1).filter((n) =>
				${TOLD}.story.source.some((line, i) => line.involved && Math.abs(i + 1 - n) <= 3))`);
			const lines = await page.evaluate(`${TOLD}.story.source.length`);

			t.ok(near.length < lines, 'nothing to fold');
			t.same(await shown(), near, 'lines shown');
			await page.emulateMedia({media: 'print'});
			t.same((await shown()).length, lines, 'lines on paper');
			await page.emulateMedia({media: 'screen'});
			t.same(await shown(), near, 'lines on the screen again');
			await page.locator('.source .gap button').first().click();
			t.ok((await shown()).length > near.length, 'unfolded');
		});

	await harness.test('another crash state is said under the headline, and what is not about it is marked', {},
		async (page, t) => {
			await t.open('run', caseHash(WAL));
			const headline = await page.locator('#app h1').innerText();
			const notes = () => page.evaluate(() => ['wrong', 'recovery', 'missing', 'fixes', 'source'].map((id) =>
				document.querySelector(`#${id} .own-note`).offsetHeight > 0));

			t.same(await page.locator('.other').isVisible(), false, 'the banner at first');
			t.same(await notes(), Array(5).fill(false), 'notes at first');
			await page.getByRole('slider').focus();
			await page.keyboard.press('End');
			t.ok((await page.locator('.other').innerText()).includes('Every transaction that was acknowledged'),
				'what the other state is');
			t.ok(await inSight(page.locator('.other')), 'the banner is in sight beside the slider');
			t.same(await notes(), Array(5).fill(true), 'notes');
			t.same(await page.locator('#app h1').innerText(), headline, 'the headline');
			t.ok(await page.locator('#wrong .rows').evaluate((e) => getComputedStyle(e.closest('.scroll')).opacity) < 1,
				'dimmed');
			await page.waitForTimeout(50);
			t.same(await page.locator('.field svg text', {hasText: 'gone'}).count(), 0, 'bands that say gone');
			await page.locator('.other button').click();
			t.same(await page.locator('.other').isVisible(), false, 'the banner after the way back');
			t.same(await notes(), Array(5).fill(false), 'notes after the way back');
		});

	await harness.test('each link to an operation brings the timeline into sight, with the operation chosen', {},
		async (page, t) => {
			await t.open('run', caseHash(JOURNAL));
			const links = page.locator('section .op-link', {hasText: /^op(eration)? \d+$/});
			let tried = 0;

			for (let n = 0; n < await links.count(); n++) {
				const text = (await links.nth(n).innerText()).replaceAll('\u202f', '');

				if (await links.nth(n).evaluate((e) => e.closest('.details') !== null))
					continue;
				await page.evaluate(() => scrollTo(0, 0));
				await links.nth(n).click();
				t.ok((await title(page)).startsWith(`op ${/\d+/.exec(text)[0]} `), `${text}: ${await title(page)}`);
				t.ok(await inSight(page.locator('.field')), `${text}: the timeline is not in sight`);
				t.ok(await page.locator('.field').evaluate((e) => e === document.activeElement), `${text}: focus`);
				tried++;
			}
			t.ok(tried >= 6, `${tried} links`);
			/* The same one once more, scrolled away in between. */
			await page.evaluate(() => scrollTo(0, 0));
			await links.first().click();
			t.ok(await inSight(page.locator('.field')), 'a link to what is chosen already');
		});

	await harness.test('the numbers of the crash states add up, and say what is left out', {}, async (page, t) => {
		for (const [id, part] of [[TWO, true], [JOURNAL, false]]) {
			await page.goto('about:blank');
			await t.open('run', caseHash(id));
			const head = (await page.locator('.states-head').innerText()).replace(/\u202f/g, '');
			const n = (head.match(/\d+/g) || []).map(Number);
			const groups = (await page.locator('.strip-group .muted').allInnerTexts())
				.map((text) => Number(text.replace(/\u202f/g, '')));
			const sum = groups.reduce((a, b) => a + b, 0);

			if (part) {
				const [total, recoveries, shown, of, other, left] = n;

				t.same([shown + other, of + left], [total, recoveries], head);
				t.same(sum, shown, `the groups: ${groups}`);
			} else {
				t.ok(head.includes('All are shown'), head);
				t.same(sum, n[0], `the groups: ${groups}`);
			}
			t.ok(!/\bruns?\b/.test(head), head);
			await page.locator('.state-outcome .sourced:not(.term)').click();
			t.ok((await page.locator('.popover code').innerText()).startsWith('plugpull explain cases/pp1-'),
				'the command behind it');
		}
		t.ok(!(await page.locator('#app').innerText()).includes('PATH'), 'PATH');
	});

	await harness.test('words of ours say what they mean', {}, async (page, t) => {
		await t.open('run', caseHash(WAL));
		for (const [word, meaning] of [['history', 'judges'], ['stands for', 'Recovery reads the same'],
			['acknowledged', 'no crash may take it away']]) {
			await page.locator('.term', {hasText: word}).first().click();
			t.ok((await page.locator('.popover').innerText()).includes(meaning), word);
			await page.keyboard.press('Escape');
		}
		const text = await page.locator('.hero').allInnerTexts().then((all) => all.join(' '));

		for (const word of ['a legal state, but acknowledged commits', 'makes the smallest case', 'tells this story'])
			t.ok(text.includes(word), word);
		await page.goto('about:blank');
		await t.open('run', caseHash('workflow@strict-posix'));
		t.ok((await page.locator('.hero').allInnerTexts()).join(' ').includes('Explored with sectors of 512'),
			'the notes are on top');
	});

	await harness.test('every lost transaction is named at every zoom and width; promises are flags', {
		viewport: {width: 390, height: 844}}, async (page, t) => {
		for (const width of [390, 1280]) {
			await page.setViewportSize({width, height: 844});
			await page.goto('about:blank');
			await t.open('run', caseHash(WAL));
			for (const key of ['c', '0']) {
				await page.keyboard.press(key);
				await page.waitForTimeout(100);
				const named = await numbersNamed(page);

				for (const number of [2, 3])
					t.ok(named.includes(number), `${width}, ${key}: transaction ${number} is not named`);
			}
			t.same(await page.evaluate(`${TOLD}.bandRows`), 1, 'rows of the transactions');
			await page.keyboard.press('0');
			await page.waitForTimeout(100);
			const promises = await page.evaluate(`[...${TOLD}.ops.keys()].filter((i) => ${TOLD}.isPromise(i)).length`);

			t.same(promises, 4, 'promises');
			if (width === 1280)
				t.same(await page.locator('.field svg polygon[style*="--t-flag"]').count(), promises, 'flags');
			/* What the place of a missing sync is called lies over no mark. */
			const over = await page.evaluate(() => {
				const box = (e) => e.getBoundingClientRect();
				const marks = [...document.querySelectorAll('.field svg rect[style*="stroke: var(--t-lost)"]')]
					.filter((e) => e.getAttribute('height') === '22').map(box);

				return [...document.querySelectorAll('.field svg text[style*="--t-missing"]')].map(box)
					.filter((a) => marks.some((b) => a.left < b.right && b.left < a.right && a.top < b.bottom &&
						b.top < a.bottom)).length;
			});

			t.same(over, 0, 'names over marks');
		}
	});

	await harness.test('bands that are too narrow for words have the numbers of what is wrong', {
		viewport: {width: 390, height: 844}}, async (page, t) => {
		await t.open('ops5000', '#/case/0');
		const wrong = await page.evaluate(`(() => {
			const told = current.told, m = told.model;

			Object.assign(told.timeline.view, {from: m.crash - 200, span: 240});
			document.querySelector('.field').dispatchEvent(new WheelEvent('wheel', {deltaX: 1, cancelable: true}));
			return m.bands.filter((band) => isWrong(band.transaction) && band.to > m.crash - 190 &&
				band.from < m.crash + 30).map((band) => band.transaction.number);
		})()`);

		await page.waitForTimeout(100);
		/* Numbers of the axis are no names: these stand in the bands. */
		const named = await numbersNamed(page);

		t.ok(wrong.length >= 4, `${wrong.length} are wrong`);
		t.same(wrong.filter((number) => !named.includes(number)), [], 'not named');
	});

	await harness.test('the keys of the timeline work wherever the focus is, and never stall', {}, async (page, t) => {
		await t.open('run', caseHash(JOURNAL, '?op=36'));
		const chosen = () => page.evaluate('current.told.selection.chosen');

		for (const place of ['.op-box', '#main', '.source-box']) {
			await page.locator(place).focus();
			for (const [key, by] of [['ArrowLeft', -1], ['ArrowRight', 1]]) {
				const before = await chosen();

				await page.keyboard.press(key);
				t.same(await chosen(), before + by, `${key} from ${place}`);
			}
		}
		for (let at = await chosen(); at > 0; at--) {
			await page.keyboard.press('ArrowLeft');
			t.same(await chosen(), at - 1, `to the left of ${at}`);
		}
		const strip = page.getByRole('slider');

		await page.goto('about:blank');
		await t.open('run', caseHash(WAL));
		await strip.focus();
		const before = await chosen();

		for (const [key, value] of [['Home', 1], ['PageUp', 3], ['ArrowRight', 4], ['PageDown', 2], ['End', 24],
			['ArrowLeft', 23]]) {
			await page.keyboard.press(key);
			t.same(await strip.getAttribute('aria-valuenow'), String(value), key);
		}
		t.same(await chosen(), before, 'the slider moves no operation');
	});

	/* The page hears of paper with its next frame here; a printer tells it before. */
	const rowsWhen = async (page, count) => {
		await page.waitForFunction((n) => document.querySelectorAll('.op-row[data-op]').length === n, count)
			.catch(() => {});
		return page.locator('.op-row[data-op]').count();
	};

	await harness.test('on paper all rows are there, or it says how many are not; it is light', {
		colorScheme: 'dark'}, async (page, t) => {
		await t.open('run', caseHash(JOURNAL));
		await page.emulateMedia({media: 'print'});
		const count = await page.evaluate(`${TOLD}.count`);

		t.same(await rowsWhen(page, count), count, 'rows');
		t.ok(await page.locator('.op-box').evaluate((e) => e.scrollHeight <= e.clientHeight + 1), 'the table is cut');
		for (const dead of ['.tool', '.chips', '.gap', '.copy'])
			t.ok(!await page.locator(dead).first().isVisible(), dead);
		await page.emulateMedia({media: 'screen'});
		await page.waitForFunction(() => document.querySelectorAll('.op-row[data-op]').length < 40);
		await page.goto('about:blank');
		await t.open('ops5000', '#/case/0');
		await page.keyboard.press('0');
		await page.waitForFunction('current.told.timeline.measured.surface === "canvas"');
		await page.emulateMedia({media: 'print'});
		t.same(await rowsWhen(page, 300), 300, 'rows of 5000');
		t.ok((await page.locator('.op-box + .print-only').innerText()).replace(/\u202f/g, '').includes('4700 more'),
			'what is left out');
		const dark = await page.evaluate(() => {
			const canvas = document.querySelector('.field canvas'), found = new Set();
			const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;

			for (let i = 0; i < data.length; i += 4)
				if (data[i + 3] === 255)
					found.add(`${data[i]},${data[i + 1]},${data[i + 2]}`);
			/* The colour of what is durable, light and dark. */
			return [found.has('141,146,153'), found.has('119,124,133')];
		});

		t.same(dark, [true, false], 'colours of the canvas');
	});

	await harness.test('on a narrow window rows are stacked and words wrap', {viewport: {width: 390, height: 844}},
		async (page, t) => {
			await t.open('run', caseHash(WAL));
			const cells = await page.locator('.rows tbody td').evaluateAll((all) => all.map((e) => e.offsetWidth));

			t.ok(cells.every((width) => width > 300), `cells are ${cells} wide`);
			const words = await page.locator('.op-row[data-op] .op-words').evaluateAll((all) =>
				all.map((e) => [e.offsetWidth, e.offsetHeight]));

			t.ok(words.every(([width]) => width > 280), 'words');
			t.ok(words.some(([, height]) => height > 30), 'no words wrap');
		});

	await harness.test('a waived violation and a fix that is none are shown as such', {}, async (page, t) => {
		await t.open('run', caseHash(TWO, '/pp1-1ef70ee5'));
		const notice = await page.locator('.notice.waived').innerText();

		for (const word of ['2031-01-01', 'consistent', 'Known, ticket 12'])
			t.ok(notice.includes(word), `${word}: ${notice}`);
		await page.goto('about:blank');
		await t.open('run', '#/');
		t.same(await page.locator('.cases tr', {hasText: 'waived'}).count(), 1, 'in the table');
		t.ok((await page.locator('#waived').innerText()).includes('known, ticket 12'), 'listed');
		t.ok(!(await page.locator('#uncovered').innerText()).includes('waived until'), 'as uncovered');
		t.ok((await page.evaluate("RESULT.verdict = 'held', runSentence()")).includes('because of a waiver'),
			'the headline of a run that holds by a waiver');
		await page.goto('about:blank');
		await t.open('run', caseHash(JOURNAL));
		t.same(await page.locator('.fix.holds .verdict-held').count(), 2, 'ticks');
		t.same(await page.locator('.fix.better').count(), 1, 'what is only better');
		t.ok((await page.locator('.fix.better').innerText()).includes('better, not fixed'), 'its words');
		t.same(await page.locator('.fix.better .verdict-held').count(), 0, 'a tick at what is only better');
	});

	await harness.test('a search that finds nothing says so, and is cleared by a button', {}, async (page, t) => {
		await t.open('run');
		t.ok(!await page.locator('.no-hits').isVisible(), 'at first');
		await page.fill('#search', 'no such thing');
		t.ok(await page.locator('.no-hits').isVisible(), 'a line');
		await page.locator('.no-hits button').click();
		t.same(await page.locator('.cases tbody tr').count(), 25, 'all of them again');
		t.same(await page.inputValue('#search'), '', 'the search');
		t.ok(!page.url().includes('q='), page.url());
	});
}

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { after, before, suite, test } from 'node:test';
import { versionsOf, type Version } from '../../../src/engine/compare/history.js';
import { diffOf, linesOf, stateOf } from './truth.js';
import { openImage } from '../../../src/engine/image/open-image.js';
import type { DiskImage } from '../../../src/engine/image/image.js';
import { UNWATCHED } from '../../../src/engine/util/work.js';
import { editMachine, makeMachine } from '../../builders/machine.js';
import { qemuImg, TempFolder } from '../../oracles/qemu.js';

/**
 *     a ── b ── c ── d      the line that is kept
 *      └── e                from a again, after a rollback
 */
const PARENTS: Readonly<Record<string, string | null>> = { a: null, b: 'a', c: 'b', d: 'c', e: 'a' };

suite('versions of one path', () => {
	const folder = new TempFolder();
	const path = folder.join('disk.qcow2');
	let image: DiskImage;

	before(async () => {
		makeMachine(path, { files: { 'etc/conf': 'one', 'etc/still': 'still' } });
		const write = async (name: string, content: string, isNew = false): Promise<void> => {
			writeFileSync(folder.join('content'), content);
			const remove = isNew ? [] : [`rm ${name}`];
			await editMachine(path, [...remove, `write ${folder.join('content')} ${name}`]);
		};
		const take = (name: string) => qemuImg('snapshot', '-c', name, path);
		take('a');
		await write('/etc/conf', 'two');
		take('b');
		await write('/etc/other', 'other', true);
		take('c');
		await editMachine(path, ['rm /etc/conf']);
		take('d');
		qemuImg('snapshot', '-a', 'a', path);
		await write('/etc/conf', 'three');
		take('e');
		image = openImage(path);
	});
	after(() => {
		image[Symbol.dispose]();
		folder[Symbol.dispose]();
	});

	const versions = (file: string): Version[] => {
		const names = ['current', 'e', 'd', 'c', 'b', 'a'];
		const states = names.map((id, i) => ({
			...stateOf(image, id === 'current' ? undefined : id),
			id,
			parent: id === 'current' ? 'e' : PARENTS[id]!,
			time: { sec: 1000 - i, nsec: 0 },
		}));
		return versionsOf(states, file, UNWATCHED);
	};
	const told = (list: readonly Version[]) =>
		list.map(({ states, present, size, sha256 }) => `${states.join()} ${present} ${size} ${sha256.slice(0, 4)}`);

	test('runs of equal content along the branches, newest first', () => {
		const list = versions('/p1/etc/conf');
		assert.deepEqual(told(list), [
			'current,e true 5 8b5b', // sha256sum of "three"
			'd false 0 ',
			'c,b true 3 3fc4', // "two"
			'a true 3 7692', // "one"
		]);
		assert.deepEqual(list[2]!.time, { sec: 996, nsec: 0 });
		assert.equal(list[0]!.kind, 'file');
	});

	test('a file that never changed is one version, over all branches', () => {
		assert.deepEqual(
			versions('/p1/etc/still').map(version => version.states.join()),
			['current,e,d,c,b,a'],
		);
	});

	test('a path that came late, a directory, and none', () => {
		assert.deepEqual(told(versions('/p1/etc/other')), ['current,e,b,a false 0 ', 'd,c true 5 d929']);
		assert.equal(versions('/p1/etc')[0]!.kind, 'directory');
		assert.deepEqual(told(versions('/p1/no/such')), ['current,e,d,c,b,a false 0 ']);
	});

	test('the comparison says the same', () => {
		// debugfs counts seconds, and both were written within one, or were not.
		const changed = linesOf(diffOf(path, 'a', 'b').changes).map(line => line.replace(' mtime', ''));
		assert.deepEqual(changed, ['M /p1/etc/conf content']);
		assert.deepEqual(linesOf(diffOf(path, 'c', 'd').changes), ['D /p1/etc/conf']);
		const back = diffOf(path, 'd', 'a');
		assert.deepEqual(linesOf(back.changes), ['A /p1/etc/conf', 'D /p1/etc/other']);
		assert.equal(back.method, 'fast');
	});
});

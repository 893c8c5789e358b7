import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { RECENT_MS, RecentInstall, installOf } from '../../src/extension/recent-install.js';

suite('the install that a snapshot is named after', () => {
	test('is found in what people type', () => {
		const said: readonly (readonly [string, string | undefined])[] = [
			['sudo apt install nginx', 'apt install nginx'],
			["ssh dev 'sudo apt-get install -y nginx curl'", 'apt-get install nginx curl'],
			['sudo apt update && sudo apt -y full-upgrade', 'apt full-upgrade'],
			['apt install nginx; echo done', 'apt install nginx'],
			['pip3 install -U flask', 'pip3 install flask'],
			['npm i -g typescript', 'npm i typescript'],
			['sudo pacman -S jq', 'pacman -S jq'],
			['npm install', undefined],
			['apt search nginx', undefined],
			['man apt', undefined],
			['echo constructor toString', undefined],
			['ls install', undefined],
			['', undefined],
		];
		for (const [line, install] of said) assert.equal(installOf(line), install, line);
		assert.ok(installOf(`apt install ${'package '.repeat(40)}`)!.length <= 60);
	});

	test('is forgotten after ten minutes, and what failed never counted', () => {
		const recent = new RecentInstall();
		assert.equal(recent.at(0), undefined);
		recent.note('apt install nginx', 0, 1000);
		recent.note('apt install nonsense', 100, 2000);
		recent.note('ls', 0, 3000);
		assert.equal(recent.at(1000 + RECENT_MS), 'apt install nginx');
		assert.equal(recent.at(1001 + RECENT_MS), undefined);
	});
});

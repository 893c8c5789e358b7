import assert from 'node:assert/strict';
import { test } from 'node:test';
import { verifyBlock } from '../../../../src/engine/filesystem/ext4/directory.js';
import type { DirectoryContext } from '../../../../src/engine/filesystem/ext4/directory.js';
import type { Superblock } from '../../../../src/engine/filesystem/ext4/superblock.js';
import { crc32c } from '../../../../src/engine/util/crc32c.js';

test('a hash tree block that was a leaf once is not taken for one', () => {
	const block = Buffer.alloc(1024);
	block.set([2, 0, 0, 0, 12, 0, 1, 2, 0x2e], 0); // "."
	block.set([2, 0, 0, 0, 0xf4, 3, 2, 2, 0x2e, 0x2e], 12); // "..", over the rest of the block
	block.set([0, 0, 0, 0, 1, 8, 0, 0, 123, 0, 2, 0], 24); // dx_root_info, limit, count
	block.set([12, 0, 0, 0xde], 1016); // What is left of the leaf's tail, in dt_reserved.
	const seed = 12345;
	const sum = crc32c(crc32c(seed, block, 0, 48), Buffer.concat([block.subarray(1016, 1020), Buffer.alloc(4)]));
	block.writeUInt32LE(sum, 1020);
	const problems: unknown[] = [];
	const context: DirectoryContext = {
		superblock: { blockSize: 1024 } as Superblock, // OK: verifyBlock asks for nothing else.
		inode: 2,
		seed,
		shownName: undefined,
		report: problem => problems.push(problem),
	};
	verifyBlock(context, block, 0, 0);
	assert.deepEqual(problems, []);
	block[1016] = 13;
	verifyBlock(context, block, 0, 0);
	assert.equal(problems.length, 1);
});

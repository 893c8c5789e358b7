/** The built-in example machine, unpacked as the extension does it. */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

/** @returns path of the image; its journal lies beside it */
export function unpackExample(folder: string): string {
	const packed = join('media', 'example');
	const image = join(folder, 'example.qcow2');
	writeFileSync(image, gunzipSync(readFileSync(join(packed, 'example.qcow2.gz'))));
	mkdirSync(join(folder, '.strata'), { recursive: true });
	copyFileSync(join(packed, 'example.journal'), join(folder, '.strata', 'example.qcow2.journal'));
	return image;
}

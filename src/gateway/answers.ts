// Answers as the store remembers them: small enough that a thousand of the largest do not fill the disk.
import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import type { Answer } from '../store/store.ts';
import type { Applied } from './contract.ts';

/** Nothing where the request has no id to be remembered by. */
export async function answerOf(requestId: string | undefined, applied: Applied): Promise<Answer | undefined> {
  return requestId === undefined ? undefined : { requestId, body: await packAnswer(applied) };
}

/** The plan of a large change is some megabytes of JSON that repeats itself; packed it is a twentieth of that. */
async function packAnswer(applied: Applied): Promise<Uint8Array> {
  return promisify(gzip)(JSON.stringify(applied), { level: 1 });
}

export async function unpackAnswer(body: Uint8Array): Promise<Applied> {
  const text = await promisify(gunzip)(body);
  return JSON.parse(text.toString('utf8'));
}

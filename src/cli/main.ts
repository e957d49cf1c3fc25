#!/usr/bin/env -S node --max-semi-space-size=8
// The command `penstock`.
import { run } from './program.ts';
import { processTerminal } from './terminal.ts';

// Not process.exit: what was written must reach a slow reader.
process.exitCode = await run(process.argv.slice(2), processTerminal());

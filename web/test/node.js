/** node node.js BUNDLE TURNS: plays the scenario in Node and prints its results as JSON. */

import { readFile } from 'node:fs/promises';
import * as ort from 'onnxruntime-web';
import { play } from './scenario.js';

const [bundle, turns] = process.argv.slice(2);
const results = await play(ort, await readFile(bundle), JSON.parse(await readFile(turns)));
console.log(JSON.stringify(results));

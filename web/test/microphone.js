/**
 * node microphone.js CHROMIUM: runs what web/README.md says of a microphone in a headless browser
 * whose microphone is made up, and prints as JSON the context's rate and what was recorded in 1 s.
 */

import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { chromium } from 'playwright-core';

const page = await readFile(new URL('../README.md', import.meta.url), 'utf8');
const [, recording] = /## A microphone[^]*?```js\n([^]*?)\n\/\/ At the end/.exec(page);
const [, pcm] = /(const pcm = [^]*?;)\n/.exec(page.slice(page.indexOf(recording)));

const server = createServer((_, response) => response.writeHead(200).end());
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const args = ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--use-fake-device-for-media-stream',
  '--use-fake-ui-for-media-stream'];
const browser = await chromium.launch({ executablePath: process.argv[2], args });
try {
  const tab = await browser.newPage();
  await tab.goto(`http://127.0.0.1:${server.address().port}/`); // a microphone needs localhost
  const recorded = await tab.evaluate(`(async () => {
    ${recording}
    while (chunks.length * 128 < context.sampleRate) await new Promise((go) => setTimeout(go, 50));
    ${pcm}
    return { sampleRate: context.sampleRate, samples: pcm.length, peak: pcm.reduce((a, b) => Math.max(a, b)) };
  })()`);
  console.log(JSON.stringify(recorded));
} finally {
  await browser.close();
  server.close();
}

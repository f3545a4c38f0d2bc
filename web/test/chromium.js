/**
 * node chromium.js CHROMIUM BUNDLE TURNS ENGINE [SCREENSHOT]: says something in the demo page of a
 * headless browser, plays the scenario there, and prints what came of both as JSON. With `webgpu`
 * for ENGINE, Chromium's software is the GPU; with `wasm`, there is none.
 */

import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { extname } from 'node:path';
import { chromium } from 'playwright-core';

const TYPES = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
};
// A browser of a test looks for no updates and sends nothing.
const FLAGS = ['--no-sandbox', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const GPU = {
  wasm: ['--disable-gpu'],
  webgpu: ['--enable-unsafe-webgpu', '--enable-features=Vulkan',
    '--use-webgpu-adapter=swiftshader'],
};

const [executablePath, bundle, turns, engine, screenshot] = process.argv.slice(2);
const server = createServer(async ({ url }, response) => {
  const path = new URL(url, 'http://host').pathname;
  try {
    const given = { '/bundle.dcet': bundle, '/turns.json': turns }[path];
    const data = await readFile(given ?? new URL(`..${path}`, import.meta.url));
    const type = TYPES[extname(path)] ?? 'application/octet-stream';
    response.writeHead(200, { 'content-type': type }).end(data);
  } catch {
    response.writeHead(404).end();
  }
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const browser = await chromium.launch({ executablePath, args: [...FLAGS, ...GPU[engine]] });
try {
  const page = await browser.newPage({ viewport: { width: 900, height: 600 } });
  page.setDefaultTimeout(120_000);
  await page.goto(`http://127.0.0.1:${server.address().port}/demo.html?bundle=bundle.dcet`);
  const status = page.locator('#status:not(:text("Loading"))');
  const demo = { status: await status.innerText(), said: [] };
  for (const [speaker, text] of [['Ann', 'I am so happy!'], ['Bob', 'I am not.']]) {
    await page.fill('[name=speaker]', speaker);
    await page.fill('[name=text]', text);
    await page.click('button:enabled');
    const said = page.locator('#turns li', { hasText: text });
    demo.said.push(await said.innerText());
  }
  if (screenshot) await page.screenshot({ path: screenshot });
  const results = await page.evaluate(async () => {
    const ort = await import('onnxruntime-web');
    const { play } = await import('./test/scenario.js');
    const bytes = await (await fetch('bundle.dcet')).arrayBuffer();
    return play(ort, new Uint8Array(bytes), await (await fetch('turns.json')).json());
  });
  console.log(JSON.stringify({ ...results, demo }));
} finally {
  await browser.close();
  server.close();
}

/**
 * node compare.js TOKENIZER CASES: prints, as JSON, what senses.js makes of texts and of PCM at other
 * rates. CASES is JSON: {texts, rates: [{sampleRate, pcm}]}.
 */

import { readFile } from 'node:fs/promises';
import { Tokenizer } from '@huggingface/tokenizers';
import { normalise, resample } from '../senses.js';

const [words, cases] = await Promise.all(
  process.argv.slice(2).map(async (file) => JSON.parse(await readFile(file))));
const tokenizer = new Tokenizer(words, {});
const texts = cases.texts.map((text) => {
  const normalised = normalise(text);
  return { normalised, tokens: tokenizer.encode(normalised).tokens };
});
const rates = cases.rates.map(({ sampleRate, pcm }) =>
  [...resample(Float32Array.from(pcm), sampleRate, 16_000)]);
console.log(JSON.stringify({ texts, rates }));

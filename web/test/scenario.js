/** What the tests play in each host; tests/web compares the results with dcet.runtime. */

import { Tokenizer } from '@huggingface/tokenizers';
import { Bundle, Conversation } from '../dcet.js';
import { zip } from '../files.js';
import { replay } from '../golden.js';
import { prepare } from '../senses.js';

/**
 * @param ort ONNX Runtime Web
 * @param {Uint8Array} bytes of a bundle
 * @param {object[]} turns each {speaker, text, pcm, sampleRate, faces}, or {forget}
 */
export async function play(ort, bytes, turns) {
  ort.env.wasm.numThreads = 1;
  const bundle = await Bundle.open(zip(bytes), ort);
  const file = await bundle.file(bundle.manifest.tokenizer.file);
  const tokenizer = new Tokenizer(JSON.parse(new TextDecoder().decode(file)), {});
  const conversation = new Conversation(bundle, { maxSpeakers: 3 });
  const isSlow = bundle.engine === 'webgpu'; // a GPU in software
  // None is awaited: a conversation takes its turns in the order of their calls.
  const played = turns.slice(0, isSlow ? 3 : undefined).map(async ({ forget, speaker, pcm, ...rest }) => {
    if (forget) return conversation.forget(forget);
    const given = { ...rest, pcm: pcm && Float32Array.from(pcm, (sample) => sample ?? NaN) };
    const prepared = prepare(bundle, tokenizer, given);
    try {
      const { inputIds, quality } = prepared;
      return { ...(await conversation.turn(speaker, prepared)), inputIds, quality };
    } catch (error) {
      return { error: error.message };
    }
  });
  const golden = await replay(bundle, isSlow ? 12 : Infinity); // memory is reset after 10
  return { engine: bundle.engine, golden, estimates: await Promise.all(played) };
}

/** What the tests play in each host; tests/web compares the results with dcet.runtime. */

import { Tokenizer } from '@huggingface/tokenizers';
import { Bundle, Conversation } from '../dcet.js';
import { zip } from '../files.js';
import { replay } from '../golden.js';
import { prepare } from '../senses.js';

/**
 * @param ort ONNX Runtime Web
 * @param {Uint8Array} bytes of a bundle
 * @param {object[]} turns each {speaker, text, pcm, faces}, or {forget}
 * @param {'webgpu' | 'wasm'} [engine]
 */
export async function play(ort, bytes, turns, engine) {
  ort.env.wasm.numThreads = 1;
  const bundle = await Bundle.open(zip(bytes), ort, engine);
  const file = await bundle.file(bundle.manifest.tokenizer.file);
  const tokenizer = new Tokenizer(JSON.parse(new TextDecoder().decode(file)), {});
  const conversation = new Conversation(bundle, { maxSpeakers: 3 });
  // None is awaited: a conversation takes its turns in the order of their calls.
  const played = turns.map(async ({ forget, speaker, text, pcm, faces }) => {
    if (forget) return conversation.forget(forget);
    const given = { text, faces, pcm: pcm && Float32Array.from(pcm) };
    const { inputIds, quality, ...rest } = prepare(bundle, tokenizer, given);
    try {
      const estimate = await conversation.turn(speaker, { inputIds, quality, ...rest });
      return { ...estimate, inputIds, quality };
    } catch (error) {
      return { error: error.message };
    }
  });
  return { golden: await replay(bundle), estimates: await Promise.all(played) };
}

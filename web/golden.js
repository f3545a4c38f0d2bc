/** Replays the golden sequences of a bundle, from raw inputs to estimates, as dcet.runtime does. */

import { Conversation } from './dcet.js';
import { zip } from './files.js';

const KINDS = { '<f4': Float32Array, '<i4': Int32Array, '|u1': Uint8Array };

/**
 * Each case with what came out, a row a step, and what was expected: features of an encoder, or
 * probabilities. Encoders come first: the step then reads what they made.
 * @param {import('./dcet.js').Bundle} bundle
 * @param {number} [most] steps of each case of the step
 * @returns {Promise<{name: string, got: number[][], expected: number[][]}[]>}
 */
export const replay = (bundle, most = Infinity) => bundle.queue(() => play(bundle, most));

async function play(bundle, most) {
  const { golden, graphs } = bundle.manifest;
  const read = async (file) => arrays(await bundle.file(file));
  const [inputs, expected] = [await read(golden.inputs), await read(golden.expected)];
  const isOfStep = ({ name }) => !(name in graphs);
  const cases = golden.cases.toSorted((a, b) => isOfStep(a) - isOfStep(b));
  const features = {}; // by modality: all that its encoder made, one after the other
  const results = [];
  for (const { name, steps } of cases) {
    const length = isOfStep({ name }) ? Math.min(steps, most) : steps;
    const turns = Array.from({ length }, (_, i) => row(inputs[name], i));
    const got = isOfStep({ name })
      ? await converse(bundle, turns, features)
      : await encode(bundle, name, turns);
    features[name] = got.flat();
    const wanted = turns.map((_, i) => [...output(row(expected[name], i)).data]);
    results.push({ name, got, expected: wanted });
  }
  return results;
}

/** What is compared of the outputs of a graph. */
const output = ({ probabilities, features, speech }) => probabilities ?? features ?? speech;

async function encode(bundle, id, turns) {
  const got = [];
  const { state, speech } = bundle.manifest;
  const pairs = [...state, ...(speech ? [speech] : [])]; // `speech` names the state of a stream
  let states = {};
  for (const turn of turns) {
    const outputs = await bundle.run(id, { ...turn, ...states });
    for (const pair of pairs)
      if (pair.graph === id) states = { ...states, [pair.in]: outputs[pair.out] };
    got.push([...output(outputs).data]);
  }
  return got;
}

async function converse(bundle, turns, features) {
  const got = [];
  let conversation = new Conversation(bundle);
  for (const turn of turns) {
    if (turn.reset.data[0]) conversation = new Conversation(bundle);
    const speaker = String(turn[bundle.manifest.speaker_input].data[0]);
    for (const [name, { input, width }] of Object.entries(bundle.manifest.modalities)) {
      const rows = turn[`${name}_rows`]?.data;
      if (rows && name in features) turn[input].data = gather(features[name], rows, width);
    }
    got.push((await conversation.advance(speaker, turn)).probabilities);
  }
  return got;
}

/** The rows of a list of vectors; zeros where the row is -1. */
function gather(vectors, rows, width) {
  const vector = (row) => vectors.slice(row * width, (row + 1) * width);
  const gathered = new Float32Array(rows.length * width);
  rows.forEach((row, place) => gathered.set(row < 0 ? [] : vector(row), place * width));
  return gathered;
}

/** The arrays of an npz by case and name. */
async function arrays(bytes) {
  const read = zip(bytes);
  const cases = {};
  for (const file of read.names) {
    const [name, tensor] = file.replace(/\.npy$/, '').split('/');
    (cases[name] ??= {})[tensor] = array(await read(file));
  }
  return cases;
}

/** An npy of format 1 or 2: a header that says type and shape, then the numbers. */
function array(bytes) {
  const isShort = bytes[6] === 1;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const start = isShort ? 10 + view.getUint16(8, true) : 12 + view.getUint32(8, true);
  const header = new TextDecoder().decode(bytes.subarray(0, start));
  const Kind = KINDS[/'descr': '([^']+)'/.exec(header)[1]];
  const dims = /'shape': \(([^)]*)\)/.exec(header)[1].match(/\d+/g)?.map(Number) ?? [];
  return { data: new Kind(Uint8Array.from(bytes.subarray(start)).buffer), dims };
}

/** Step `i` of arrays (steps, …). */
function row(arrays, i) {
  const taken = Object.entries(arrays).map(([name, { data, dims }]) => {
    const size = data.length / dims[0];
    return [name, { data: data.slice(i * size, (i + 1) * size), dims: dims.slice(1) }];
  });
  return Object.fromEntries(taken);
}

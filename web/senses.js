/**
 * Raw text, sound and faces made into what `Conversation.turn` takes: what dcet.runtime does before
 * its encoders (text.py, audio.py, face.py, quality.py), for hosts that want its estimates. What
 * is of no use is left out.
 */

import { round, spread } from './dcet.js';

const MIN_SAMPLES = 1600, BLOCK = 320; // at 16 kHz: 100 and 20 ms
const SILENT_PEAK = 1e-4, FULL = 0.99, USELESS_SHARE = 0.2, GOOD_SNR_DB = 25;
const MIN_PIXELS = 12, MIN_CONTRAST = 8, ENOUGH_PIXELS = 96, JUDGED_PIXELS = 48;
const LUMA = [0.299, 0.587, 0.114], SHARP = 60, DARK = 30;

/**
 * @param {import('./dcet.js').Bundle} bundle
 * @param {import('@huggingface/tokenizers').Tokenizer} tokenizer of the bundle's tokenizer.json
 * @param {{text?: string, pcm?: Float32Array, faces?: {data: ArrayLike<number>, width: number,
 *   height: number}[]}} given what was said, mono PCM at 16 kHz, pictures cut out around the face
 */
export function prepare(bundle, tokenizer, { text, pcm, faces }) {
  const { audio, face } = bundle.manifest.modalities;
  const [said, heard, seen] = [
    text && read(text, tokenizer, bundle.manifest.tokenizer.max_tokens),
    pcm && hear(pcm, (audio.limit ?? audio.length) * audio.window_samples),
    faces && look(faces, face.limit ?? face.length),
  ];
  const quality = { text: said?.quality, audio: heard?.quality, face: seen?.quality };
  return { inputIds: said?.ids, pcm: heard?.pcm, faces: seen?.crops, quality };
}

/** Token ids, and the share of the tokens that belong to known words. */
function read(text, tokenizer, most) {
  const straight = text.normalize('NFC').replace(/[‘’‚]/g, "'").replace(/[“”„]/g, '"');
  const encoded = tokenizer.encode(straight.trim().replace(/\s+/g, ' '));
  const last = Math.min(encoded.ids.length, most) - 1; // the place of [SEP]
  const ids = [...encoded.ids.slice(0, last), encoded.ids.at(-1)];
  const words = []; // lists of pieces
  for (const token of encoded.tokens.slice(1, last))
    if (token.startsWith('##')) words.at(-1).push(token.slice(2));
    else words.push([token]);
  const isSpelt = (pieces) => pieces.every((piece) => [...piece].length === 1);
  const isPlain = (pieces) => pieces.length === 1 && pieces[0].codePointAt(0) < 128;
  const isKnown = (pieces) => !pieces.includes('[UNK]') && (isPlain(pieces) || !isSpelt(pieces));
  const known = words.filter(isKnown).flat().length;
  return known ? { ids, quality: known / words.flat().length } : undefined;
}

/** PCM without offset, and its quality by noise and clipping. */
function hear(given, most) {
  if (given.length < MIN_SAMPLES) return undefined;
  const scaled = limited(given.subarray(Math.max(0, given.length - most)));
  const clipped = scaled.filter((sample) => Math.abs(sample) >= FULL).length / scaled.length;
  const offset = mean(scaled);
  const centred = scaled.map((sample) => sample - offset);
  if (peak(centred) < SILENT_PEAK) return undefined;
  const pcm = limited(centred);
  const quality = clip(snrDb(pcm) / GOOD_SNR_DB) * Math.max(0, 1 - clipped / USELESS_SHARE);
  return { pcm, quality };
}

function snrDb(pcm) {
  const powers = Float64Array.from({ length: Math.floor(pcm.length / BLOCK) }, (_, i) =>
    mean(Float64Array.from(pcm.subarray(i * BLOCK, (i + 1) * BLOCK), (sample) => sample ** 2)));
  const loudest = peak(powers);
  const heard = powers.filter((power) => power > loudest * 1e-7).sort();
  if (!heard.length) return 0;
  const place = 0.1 * (heard.length - 1), below = Math.floor(place), above = Math.ceil(place);
  const quiet = heard[below] + (heard[above] - heard[below]) * (place - below);
  return 10 * Math.log10(Math.max(mean(heard) - quiet, 1e-4 * mean(heard)) / quiet);
}

/** The faces that a turn uses, not larger than is of use, and their mean quality. */
function look(faces, most) {
  const chosen = spread(faces.length - 1, Math.min(faces.length, most)).map((i) => faces[i]);
  const crops = chosen.map(crop).filter(Boolean);
  return crops.length ? { crops, quality: mean(crops.map(faceQuality)) } : undefined;
}

/** RGB; each side smaller by a whole factor where it is large. Nothing where all is alike. */
function crop({ data, width, height }) {
  if (Math.min(width, height) < MIN_PIXELS) return undefined;
  const channels = data.length / (width * height);
  const at = (row, column, channel) => data[(row * width + column) * channels + channel];
  const contrast = LUMA.map((_, channel) => {
    let [least, largest] = [255, 0];
    for (let row = 0; row < height; row += 4)
      for (let column = 0; column < width; column += 4) {
        least = Math.min(least, at(row, column, channel));
        largest = Math.max(largest, at(row, column, channel));
      }
    return largest - least;
  });
  if (Math.max(...contrast) < MIN_CONTRAST) return undefined;
  const factor = (size, part) => Math.max(1, Math.floor(size / part));
  const [down, right] = [factor(height, ENOUGH_PIXELS), factor(width, ENOUGH_PIXELS)];
  // Of very large ones, a pixel in four or so along each side tells as much as the mean of all.
  const [skipDown, skipRight] = [factor(down, 4), factor(right, 4)];
  const [rows, columns] = [Math.floor(down / skipDown), Math.floor(right / skipRight)];
  const small = {
    width: Math.floor(Math.ceil(width / skipRight) / columns),
    height: Math.floor(Math.ceil(height / skipDown) / rows),
  };
  const pixels = new Uint8Array(small.width * small.height * 3).map((_, place) => {
    const [x, y] = [Math.floor(place / 3) % small.width, Math.floor(place / 3 / small.width)];
    let sum = 0;
    for (let i = 0; i < rows; i++)
      for (let j = 0; j < columns; j++)
        sum += at((y * rows + i) * skipDown, (x * columns + j) * skipRight, place % 3);
    return round(sum / (rows * columns));
  });
  return { data: pixels, ...small };
}

/** Sharpness times exposure, at about the size at which the encoder sees the face. */
function faceQuality({ data, width, height }) {
  const luma = (at) => LUMA.reduce((sum, weight, channel) => sum + weight * data[at + channel], 0);
  const grey = Array.from({ length: height }, (_, y) =>
    Float64Array.from({ length: width }, (_, x) => luma((y * width + x) * 3)));
  const columns = areas(width), rows = areas(height);
  const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
  const narrow = grey.map((line) => columns.map((weights) => dot(weights, line)));
  const seen = rows.map((weights) => columns.map((_, x) =>
    weights.reduce((sum, weight, y) => sum + weight * narrow[y][x], 0)));
  const all = seen.flat(), level = mean(all);
  const contrast = Math.sqrt(mean(all.map((value) => (value - level) ** 2))) + 4;
  const squares = [];
  for (let y = 1; y < JUDGED_PIXELS - 1; y++)
    for (let x = 1; x < JUDGED_PIXELS - 1; x++) {
      const around = seen[y - 1][x] + seen[y + 1][x] + seen[y][x - 1] + seen[y][x + 1];
      squares.push(((around - 4 * seen[y][x]) / contrast) ** 2);
    }
  return clip((mean(squares) * 100) / SHARP) * clip(level / DARK);
}

/** What each of 48 pixels takes from a line of `size`. */
function areas(size) {
  const scale = size / JUDGED_PIXELS;
  return Array.from({ length: JUDGED_PIXELS }, (_, target) => {
    const weights = Float64Array.from({ length: size }, (_, source) =>
      clip((1 + Math.max(scale, 1)) / 2 - Math.abs(source + 0.5 - (target + 0.5) * scale)));
    const sum = weights.reduce((a, b) => a + b);
    return weights.map((weight) => weight / sum);
  });
}

const clip = (x) => Math.min(1, Math.max(0, x));
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const peak = (values) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

function limited(samples) {
  const factor = Math.max(1, peak(samples));
  return samples.map((sample) => sample / factor);
}

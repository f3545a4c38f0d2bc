/**
 * Prepares text, audio and faces as `Conversation.turn` takes them, as dcet.runtime does before its
 * encoders (text.py, audio.py, face.py, quality.py), for hosts that want its estimates. What cannot
 * be used is left out.
 */

import { round, spread } from './dcet.js';

const SAMPLE_RATE_HZ = 16_000, MIN_MS = 100, BLOCK = 320; // samples: 20 ms
const SILENT_PEAK = 1e-4, FULL = 0.99, FLAT = 0.9999, USELESS_SHARE = 0.2, GOOD_SNR_DB = 25;
const MIN_PIXELS = 12, MIN_CONTRAST = 8, ENOUGH_PIXELS = 96, JUDGED_PIXELS = 48;
const LUMA = [0.299, 0.587, 0.114], SHARP = 60, DARK = 30;

// Windows-1252 from 0x80 to 0x9F, which old transcripts hold where Unicode has control characters.
const WINDOWS_1252 = '€\0‚ƒ„…†‡ˆ‰Š‹Œ\0Ž\0\0‘’“”•–—˜™š›œ\0žŸ'.split('').map((c) => c.replace('\0', ''));
// What Python's str.split() takes for white space: other than \s, U+001C to U+001F and not U+FEFF.
const SPACES = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/;

/**
 * @param {import('./dcet.js').Bundle} bundle
 * @param {import('@huggingface/tokenizers').Tokenizer} tokenizer of the bundle's tokenizer.json
 * @param {{text?: string, pcm?: Float32Array, sampleRate?: number, faces?: ({data:
 *   ArrayLike<number>, width: number, height: number} | null)[]}} given what was said, mono PCM and
 *   its rate in Hz, pictures cut out around the face
 */
export function prepare(bundle, tokenizer, { text, pcm, sampleRate = SAMPLE_RATE_HZ, faces }) {
  const { audio: sounds, face: pictures } = bundle.manifest.modalities;
  const most = (modality) => modality.limit ?? modality.length;
  const texts = text && prepareText(text, tokenizer, bundle.manifest.tokenizer.max_tokens);
  const audio = pcm && prepareAudio(pcm, sampleRate, most(sounds) * sounds.window_samples);
  const face = faces && prepareFaces(faces, most(pictures));
  const quality = { text: texts?.quality, audio: audio?.quality, face: face?.quality };
  return { inputIds: texts?.ids, pcm: audio?.pcm, faces: face?.crops, quality };
}

/** Maps Windows-1252 leftovers, composes, straightens quotes, folds white space. */
export function normalise(text) {
  const mapped = text.replace(/[\x80-\x9f]/g, (c) => WINDOWS_1252[c.charCodeAt() - 0x80]);
  const composed = mapped.normalize('NFC').replace(/[‘’‚]/g, "'").replace(/[“”„]/g, '"');
  return composed.split(SPACES).filter(Boolean).join(' ');
}

/** Token ids, and the share of the tokens that belong to known words. */
function prepareText(text, tokenizer, most) {
  const encoded = tokenizer.encode(normalise(text));
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

/** The last `most` samples at 16 kHz, without offset, and their quality by noise and clipping. */
function prepareAudio(given, sampleRate, most) {
  if ((given.length / sampleRate) * 1000 < MIN_MS) return undefined;
  const used = Math.floor((most / SAMPLE_RATE_HZ) * sampleRate);
  const samples = given.subarray(Math.max(0, given.length - used));
  if (!samples.every(Number.isFinite)) return undefined;
  const scaled = limited(samples), full = peak(samples) > 1 ? FLAT : FULL;
  const clipped = scaled.filter((sample) => Math.abs(sample) >= full).length / scaled.length;
  const offset = mean(scaled);
  const centred = scaled.map((sample) => sample - offset);
  if (peak(centred) < SILENT_PEAK) return undefined;
  const pcm = limited(resample(centred, sampleRate, SAMPLE_RATE_HZ));
  const quality = clip(snrDb(pcm) / GOOD_SNR_DB) * Math.max(0, 1 - clipped / USELESS_SHARE);
  return { pcm, quality };
}

/**
 * Resamples with a sinc in a Kaiser window, 64 zero crossings to each side: what lies above the
 * lower of the two Nyquist frequencies is 80 dB down, and what lies below 0.9 of it stays.
 * @param {Float32Array} pcm @param {number} from @param {number} to rates in Hz
 */
export function resample(pcm, from, to) {
  if (from === to) return pcm;
  const cutoff = 0.956 * Math.min(1, to / from), reach = 64 / cutoff, beta = 8;
  const divisor = gcd(from, to), phases = to / divisor, step = from / divisor;
  const taps = Array.from({ length: phases }, (_, phase) => kernel(phase / phases, cutoff, reach, beta));
  return Float32Array.from({ length: Math.ceil((pcm.length * to) / from) }, (_, i) => {
    const whole = Math.floor((i * step) / phases), first = whole - Math.floor(reach);
    const weights = taps[(i * step) % phases];
    let sum = 0;
    const end = Math.min(weights.length, pcm.length - first);
    for (let j = Math.max(0, -first); j < end; j++) sum += weights[j] * pcm[first + j];
    return sum;
  });
}

/** The weights of the samples around a place that lies `fraction` behind the middle one. */
function kernel(fraction, cutoff, reach, beta) {
  const middle = Math.floor(reach);
  const weights = Float64Array.from({ length: 2 * middle + 2 }, (_, j) => {
    const x = j - middle - fraction, share = x / reach;
    if (Math.abs(share) >= 1) return 0;
    const sinc = x === 0 ? cutoff : Math.sin(Math.PI * cutoff * x) / (Math.PI * x);
    return sinc * (bessel(beta * Math.sqrt(1 - share ** 2)) / bessel(beta));
  });
  const sum = weights.reduce((a, b) => a + b);
  return weights.map((weight) => weight / sum);
}

/** The modified Bessel function of the first kind, of order 0. */
function bessel(x) {
  let [sum, term] = [1, 1];
  for (let k = 1; term > sum * 1e-12; k++) sum += term *= (x / (2 * k)) ** 2;
  return sum;
}

const gcd = (a, b) => (b ? gcd(b, a % b) : a);

function snrDb(pcm) {
  const powers = Float64Array.from({ length: Math.floor(pcm.length / BLOCK) }, (_, i) =>
    mean(Float64Array.from(pcm.subarray(i * BLOCK, (i + 1) * BLOCK), (sample) => sample ** 2)));
  const loudest = peak(powers);
  const audible = powers.filter((power) => power > loudest * 1e-7).sort();
  if (!audible.length) return 0;
  const place = 0.1 * (audible.length - 1), below = Math.floor(place), above = Math.ceil(place);
  const quiet = audible[below] + (audible[above] - audible[below]) * (place - below);
  return 10 * Math.log10(Math.max(mean(audible) - quiet, 1e-4 * mean(audible)) / quiet);
}

/** The faces that a turn uses, not larger than is of use, and their mean quality. */
function prepareFaces(faces, most) {
  const chosen = spread(faces.length - 1, Math.min(faces.length, most)).map((i) => faces[i]);
  const crops = chosen.map(crop).filter(Boolean);
  return crops.length ? { crops, quality: mean(crops.map(faceQuality)) } : undefined;
}

/** RGB; each side smaller by a whole factor where it is large. Nothing where all is alike. */
function crop(face) {
  if (!face?.data || Math.min(face.width, face.height) < MIN_PIXELS) return undefined;
  const { data, width, height } = face;
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

/**
 * DCET in browsers and Node: opens a bundle, runs its graphs in ONNX Runtime Web, and remembers
 * every speaker of a conversation by the rules of docs/bundle-format.md.
 */

const MAJOR = 1; // of schema_version

/** One exported model. Conversations share its sessions and nothing else. */
export class Bundle {
  last = Promise.resolve();

  /** @param {import('./files.js').Reader} read @param {typeof import('onnxruntime-web')} ort
   *  @param {'webgpu' | 'wasm'} [engine] by default WebGPU where there is a GPU for it */
  static async open(read, ort, engine) {
    const manifest = JSON.parse(new TextDecoder().decode(await read('manifest.json')));
    if (parseInt(manifest.schema_version) !== MAJOR)
      throw new Error(`expected schema_version ${MAJOR}.x, got ${manifest.schema_version}`);
    engine ??= (await globalThis.navigator?.gpu?.requestAdapter()) ? 'webgpu' : 'wasm';
    const bundle = Object.assign(new Bundle(), { read, ort, engine, manifest, sessions: {} });
    for (const [id, { file }] of Object.entries(manifest.graphs)) {
      const options = { executionProviders: [engine] };
      bundle.sessions[id] = await ort.InferenceSession.create(await bundle.file(file), options);
    }
    return bundle;
  }

  /** The bytes of a file, checked against its hash. */
  async file(name) {
    const data = await this.read(name), expected = this.manifest.files[name]?.sha256;
    const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', data));
    const found = Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('');
    if (found === expected) return data;
    throw new Error(`${name}: expected SHA-256 ${expected}, got ${found}; copy the bundle again`);
  }

  /** All outputs of a graph. An input that is not given is zeros. */
  async run(id, given) {
    const inputs = {};
    for (const { name, dtype, shape } of this.manifest.graphs[id].inputs) {
      const { data, dims = shape } = given[name] ?? {}, size = dims.reduce((a, b) => a * b);
      inputs[name] = new this.ort.Tensor(dtype, data ?? new Float32Array(size), dims);
    }
    const outputs = await this.sessions[id].run(inputs);
    for (const [name, { data }] of Object.entries(outputs))
      if (!data.every(Number.isFinite)) throw new Error(`graph ${id}: ${name} is not finite`);
    return outputs;
  }

  /** Starts `task` when those before it are done: ONNX Runtime Web takes one run at a time. */
  queue(task) {
    return (this.last = this.last.catch(() => {}).then(task));
  }
}

export const round = (x) => (x % 1 === 0.5 ? 2 * Math.round(x / 2) : Math.round(x)); // half to even
export const spread = (last, count) =>
  Array.from({ length: count }, (_, i) => round(i * (last / Math.max(1, count - 1))));

/** The outputs of each encoder for what a turn gives. */
const encoders = {
  text: (bundle, ids) => {
    const dims = [1, ids.length], most = bundle.manifest.tokenizer.max_tokens;
    if (ids.length > most) throw new Error(`inputIds: expected at most ${most}, got ${ids.length}`);
    const attention_mask = { data: new Int32Array(ids.length).fill(1), dims };
    return bundle.run('text', { input_ids: { data: ids, dims }, attention_mask });
  },
  audio: async (bundle, pcm, { length, limit = length, window_samples: window }, states, degraded) => {
    const last = pcm.subarray(Math.max(0, pcm.length - limit * window));
    const used = await voiced(bundle, last, degraded);
    if (!used) return undefined;
    const starts = used.length > window
      ? spread(used.length - window, Math.ceil(used.length / window))
      : (limit > 1 ? [MOVED, -MOVED] : [0]).map((moved) => -Math.floor((window - used.length) / 2) + moved / 2);
    const data = new Float32Array(starts.length * window);
    starts.forEach((start, i) => data.set(
      used.subarray(Math.max(0, start), start + window), i * window + Math.max(0, -start)));
    return bundle.run('audio', { ...states, pcm: { data, dims: [starts.length, window] } });
  },
  face: async (bundle, faces, { length, limit = length, width }) => {
    const chosen = spread(faces.length - 1, Math.min(faces.length, limit));
    const features = new Float32Array(chosen.length * width);
    for (const [i, place] of chosen.entries()) { // one by one: sizes may differ
      const { data, width: columns, height: rows } = faces[place];
      const rgb = data.length === rows * columns * 3 ? data : data.filter((_, at) => at % 4 < 3);
      const pixels = { data: Uint8Array.from(rgb), dims: [1, rows, columns, 3] };
      features.set((await bundle.run('face', { pixels })).features.data, i * width);
    }
    return { features: { data: features } };
  },
};

const MOVED = 256, EDGE = 0.5, MARGIN_MS = 192, LEAST_CUT_MS = 300; // as in dcet.runtime's senses

/** The part of mono PCM at 16 kHz in which a voice sounds, undefined where there is none; all of it
 *  for a bundle that cannot tell. */
async function voiced(bundle, pcm, degraded) {
  if (!bundle.manifest.speech) return pcm;
  const { graph, hop_samples: hop, threshold, least_ms } = bundle.manifest.speech;
  const rate = bundle.manifest.modalities.audio.sample_rate_hz, hopMs = (hop * 1000) / rate;
  const data = new Float32Array(Math.ceil(pcm.length / hop) * hop);
  data.set(pcm);
  const heard = (await bundle.run(graph, { pcm: { data, dims: [1, data.length] } })).speech.data;
  const hops = [...heard.keys()].filter((i) => heard[i] >= threshold);
  if (!hops.length || hops.length * hopMs < least_ms) {
    const [ms, seconds] = [round(hops.length * hopMs), (pcm.length / rate).toFixed(1)];
    const found = hops.length ? `only ${ms} ms of a voice were` : 'no voice was';
    degraded.push(`audio: ${found} heard in ${seconds} s of sound; at least ${least_ms} ms are needed`);
    return undefined;
  }
  const maybe = [...heard.keys()].filter((i) => heard[i] >= EDGE * threshold);
  const margin = round(MARGIN_MS / hopMs), first = Math.max(0, maybe[0] - margin) * hop;
  const last = Math.min(pcm.length, (maybe.at(-1) + 1 + margin) * hop);
  const leftOutS = (pcm.length - (last - first)) / rate;
  if (leftOutS * 1000 <= LEAST_CUT_MS) return pcm;
  degraded.push(`audio: ${leftOutS.toFixed(1)} s before or after the voice are left out`);
  return pcm.subarray(first, last);
}

/** Tracks the emotion of every speaker of one conversation. */
export class Conversation {
  /** @param {Bundle} bundle @param {object} [options] `abstainBelow`: the confidence below which
   *  an estimate `abstains`, for a reason in words */
  constructor(bundle, { maxSpeakers = 64, abstainBelow = 0.4 } = {}) {
    if (!(abstainBelow >= 0 && abstainBelow <= 1))
      throw new Error(`abstainBelow: expected a number from 0 to 1, got ${abstainBelow}`);
    Object.assign(this, { bundle, maxSpeakers, abstainBelow, numbers: 0, scene: {} });
    this.people = new Map(); // the one unheard for longest first
  }

  /**
   * Estimates one utterance and remembers it; one that fails leaves the memory as it was.
   * @param {string} who @param {{inputIds?: number[], pcm?: Float32Array, faces?: {data:
   *   Uint8Array | Uint8ClampedArray, width: number, height: number}[], quality?: object}} given
   *   token ids with [CLS] and [SEP]; mono PCM in [-1, 1] at the bundle's rate; RGB or RGBA pixels
   *   cut out around faces (an `ImageData` is one); `quality` by modality, from 0 to 1
   */
  turn(who, { inputIds, pcm, faces, quality = {} }) {
    const speaker = who.normalize(); // however its accents are encoded
    return this.bundle.queue(async () => {
      const modalities = Object.entries(this.bundle.manifest.modalities), degraded = [], ran = {};
      const inputs = { modality_mask: { data: [0, 0, 0] }, quality: { data: [1, 1, 1] } };
      for (const [i, [name, modality]] of modalities.entries()) {
        const given = { text: inputIds, audio: pcm, face: faces }[name];
        if (!given?.length) continue;
        const { input, mask, width, length = 1, trained, encoder } = modality;
        if (!trained || !encoder) { degraded.push(`${name}: not for this bundle`); continue; }
        const { states } = this.recall(speaker);
        const outputs = await encoders[name](this.bundle, given, modality, states, degraded);
        if (!outputs) continue;
        ran[name] = outputs;
        const { data } = outputs.features;
        inputs[input] = { data: new Float32Array(length * width) };
        inputs[input].data.set(data);
        if (mask) inputs[mask] = { data: new Float32Array(length).fill(1, 0, data.length / width) };
        inputs.modality_mask.data[i] = 1;
        inputs.quality.data[i] = quality[name] ?? 1;
      }
      if (!Object.keys(ran).length) {
        const why = degraded.join('; ') || 'none';
        throw new Error(`expected inputIds, pcm or faces that can be used, got ${why}`);
      }
      return this.advance(speaker, inputs, ran, degraded);
    });
  }

  /** Leaves no trace of a speaker; the scene, which mixes what all have said, goes too. */
  forget(who) {
    return this.bundle.queue(() => void (this.people.delete(who.normalize()), (this.scene = {})));
  }

  recall = (speaker) => this.people.get(speaker) ?? { number: this.numbers + 1, states: {} };

  /** Runs `step`, and keeps what it and the encoders that `ran` say of speaker and scene. */
  async advance(speaker, inputs, ran = {}, degraded = []) {
    const { manifest, engine } = this.bundle, { number, states } = this.recall(speaker);
    const who = { [manifest.speaker_input]: { data: [number] } };
    const given = { ...inputs, ...this.scene, ...states, ...who };
    const step = (ran.step = await this.bundle.run('step', given));
    const next = { speaker: { ...states }, scene: { ...this.scene } };
    for (const { graph = 'step', per, in: input, out } of manifest.state)
      if (ran[graph]) next[per][input] = ran[graph][out];
    this.people.delete(speaker);
    const [evicted] = this.people.size === this.maxSpeakers ? this.people.keys() : [];
    if (this.people.delete(evicted))
      degraded.push(`memory: '${evicted}', unheard for longest, was forgotten to make room`);
    this.people.set(speaker, { number, states: next.speaker });
    const isNew = number > this.numbers, probabilities = [...step.probabilities.data];
    const emotion = manifest.labels[probabilities.indexOf(Math.max(...probabilities))];
    Object.assign(this, { scene: next.scene, numbers: this.numbers + isNew });
    return { speaker, emotion, probabilities, sentiment: step.sentiment.data[0], engine, degraded,
      ...this.belief(step), shift: isNew ? null : step.shift.data[0],
      modalityWeights: [...step.modality_weights.data] };
  }

  /** How far an estimate is to be believed: `confidence`, null where the bundle has none, why it
   *  `abstains`, null where it does not, and `familiarity` of each modality, 1 where unmeasured. */
  belief(step) {
    const confidence = step.confidence?.data[0] ?? null, shown = Math.floor(confidence * 100) / 100;
    const abstains = confidence === null || confidence >= this.abstainBelow ? null
      : `confidence ${shown.toFixed(2)} is below ${this.abstainBelow}`;
    return { confidence, abstains, familiarity: [...(step.familiarity?.data ?? [1, 1, 1])] };
  }
}

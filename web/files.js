/**
 * Where the files of a bundle lie.
 *
 * @typedef {(name: string) => Promise<Uint8Array>} Reader gives a file by its name
 */

/** Reads a directory at `url`. @returns {Reader} */
export const folder = (url) => async (name) => {
  const response = await fetch(`${url}/${name}`);
  if (response.ok) return new Uint8Array(await response.arrayBuffer());
  throw new Error(`${url}/${name}: expected a file of a bundle, got HTTP ${response.status}`);
};

/** Reads a zip: a bundle in one file, whose members are stored, or an .npz. @returns {Reader & {names: string[]}} */
export function zip(/** @type {Uint8Array} */ bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const u16 = (at) => view.getUint16(at, true);
  const u32 = (at) => view.getUint32(at, true);
  let end = bytes.length - 22;
  while (end >= 0 && u32(end) !== 0x06054b50) end--;
  if (end < 0) throw new Error(`expected a whole zip, got ${bytes.length} bytes without its end`);
  const members = new Map();
  for (let at = u32(end + 16), left = u16(end + 10); left > 0; left--) {
    const [method, bytesOfName, start] = [u16(at + 10), u16(at + 28), u32(at + 42)];
    const name = new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + bytesOfName));
    if (method !== 0 && method !== 8) throw new Error(`${name}: unknown compression ${method}`);
    const from = start + 30 + u16(start + 26) + u16(start + 28);
    members.set(name, { data: bytes.subarray(from, from + u32(at + 20)), isStored: method === 0 });
    at += 46 + bytesOfName + u16(at + 30) + u16(at + 32);
  }
  const names = [...members.keys()];
  const read = async (name) => {
    const member = members.get(name);
    if (!member) {
      throw new Error(`${name}: expected in the archive, which holds ${names.join(', ')}`);
    }
    return member.isStored ? member.data : inflate(member.data);
  };
  return Object.assign(read, { names });
}

async function inflate(/** @type {Uint8Array} */ bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate-raw'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Reads arrays with zarrita.js: requests on stdin as scripts/other_readers/python_readers.py takes them, answers on stdout
// as that gives them, without the frames' checksums.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { FileSystemStore } from "@zarrita/storage";
import * as zarr from "zarrita";

const { store, images } = JSON.parse(readFileSync(0, "utf-8"));
const root = zarr.root(new FileSystemStore(store));

async function describe(path) {
  const array = await zarr.open.v3(root.resolve(path), { kind: "array" });
  const { data } = await zarr.get(array);
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return {
    axes: array.dimensionNames ?? array.shape.map(() => ""),
    shape: array.shape,
    dtype: array.dtype,
    sha256: createHash("sha256").update(bytes).digest("hex"),
  };
}

for (const [image, { numeric }] of Object.entries(images)) {
  const arrays = {};
  for (const name of numeric) arrays[name] = await describe(`${image}/${name}`);
  console.log(JSON.stringify({ image, arrays }));
}

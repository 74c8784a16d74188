// The two releases between which the mesh is upgraded: this tree's version, and the one after it.
import { readFileSync } from "node:fs";
import { join } from "node:path";

const manifest = join(import.meta.dirname, "../../package.json");

export const ownVersion = (JSON.parse(readFileSync(manifest, "utf8")) as { readonly version: string }).version;
export const nextVersion = ownVersion.replace(/\d+$/, (patch) => String(Number(patch) + 1));

// The configurations of the corpus. Each is a file of its own, whose objects are added to those of base.yaml and then
// removed.
import { globSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { parseAllDocuments } from "yaml";
import type { UntypedObject } from "../../../src/api/index.ts";

export interface CorpusCase {
  /** The file's path in the corpus, without `.yaml`. */
  readonly name: string;
  /** In the file's order, without its ConfigMap `istio` of istio-system. */
  readonly objects: readonly UntypedObject[];
  /** The MeshConfig in the file's ConfigMap `istio`, if it has one. */
  readonly meshConfig: string | undefined;
  /** The MeshNetworks in that ConfigMap, if it has them. */
  readonly meshNetworks?: string | undefined;
}

export const corpusDirectory = join(import.meta.dirname, "../envoy/corpus");

/**
 * Reads the configurations, sorted by name. `only` selects names that contain this text. An error names the invalid
 * file.
 */
export function readCorpus(only = ""): CorpusCase[] {
  const chosen = globSync("**/*.yaml", { cwd: corpusDirectory })
    .toSorted()
    .map((file) => readCase(join(corpusDirectory, file)))
    .filter(({ name }) => name.includes(only));
  if (chosen.length === 0) throw new Error(`--only ${only}: no case has this in its name`);
  return chosen;
}

export function readObjects(file: string): UntypedObject[] {
  return parseAllDocuments(readFileSync(file, "utf8")).flatMap((document) => {
    if (document.errors[0] !== undefined) throw new Error(`${file}: ${document.errors[0].message}`);
    const object = document.toJS() as UntypedObject | null;
    return object === null ? [] : [object];
  });
}

function readCase(file: string): CorpusCase {
  const all = readObjects(file);
  const mesh = all.find(isMeshConfig);
  const { mesh: meshConfig, meshNetworks } =
    (mesh as { data?: { mesh?: string; meshNetworks?: string } } | undefined)?.data ?? {};
  return {
    name: relative(corpusDirectory, file).replace(/\.yaml$/, ""),
    objects: all.filter((object) => !isMeshConfig(object)),
    meshConfig,
    meshNetworks,
  };
}

function isMeshConfig(object: UntypedObject): boolean {
  return (
    object.kind === "ConfigMap" && object.metadata.name === "istio" && object.metadata.namespace === "istio-system"
  );
}

// The configurations: one a file, self-contained, applied on top of base.yaml and taken away again.
import { globSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { parseAllDocuments } from "yaml";
import type { UntypedObject } from "../../../src/api/index.ts";

export interface CorpusCase {
  /** Its path below the corpus, without `.yaml`. */
  readonly name: string;
  /** In the order of the file; a ConfigMap `istio` of istio-system is not among them. */
  readonly objects: readonly UntypedObject[];
  /** MeshConfig, where the file has a ConfigMap `istio`. */
  readonly meshConfig: string | undefined;
  /** MeshNetworks, where that ConfigMap has them. */
  readonly meshNetworks?: string | undefined;
}

export const corpusDirectory = join(import.meta.dirname, "../envoy/corpus");

/** Sorted by name; throws by file what cannot be read. `only`: names that contain it. */
export function readCorpus(only = ""): CorpusCase[] {
  return globSync("**/*.yaml", { cwd: corpusDirectory })
    .toSorted()
    .map((file) => readCase(join(corpusDirectory, file)))
    .filter(({ name }) => name.includes(only));
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

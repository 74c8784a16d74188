import type { UntypedObject } from "../api/index.ts";

/**
 * The objects of a file of YAML or JSON documents, one at a time. A document that begins with a brace is read as JSON, which
 * takes a hundredth of the time: the definitions of kinds that a release carries are written so.
 */
export async function* objectsInManifest(manifest: string): AsyncGenerator<UntypedObject> {
  const { parse } = await import("yaml");
  for (const part of manifest.split(/^---[ \t]*$/m)) {
    const object = (part.trimStart().startsWith("{") ? JSON.parse(part) : parse(part)) as UntypedObject | null;
    if (object !== null && typeof object === "object") yield object;
  }
}

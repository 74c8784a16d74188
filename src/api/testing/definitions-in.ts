import { parse } from "yaml";

/**
 * The CustomResourceDefinitions in a file of `manifests/crds`. Most documents are JSON, which takes a hundredth of the
 * YAML parser's time.
 */
export function definitionsIn(manifest: string): unknown[] {
  return manifest
    .split(/^---$/m)
    .map((part) => (part.trimStart().startsWith("{") ? JSON.parse(part) : parse(part)) as unknown)
    .filter((definition) => definition !== null);
}

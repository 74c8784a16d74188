import { parse } from "yaml";

/**
 * The CustomResourceDefinitions in a file of `manifests/crds`. Documents in JSON skip the YAML parser, which takes a
 * hundred times as long.
 */
export function definitionsIn(manifest: string): unknown[] {
  return manifest
    .split(/^---$/m)
    .map((part) => (part.trimStart().startsWith("{") ? JSON.parse(part) : parse(part)) as unknown)
    .filter((definition) => definition !== null);
}

// How Kubernetes' and Istio's programs read YAML.
export { plainScalar, readForKubernetes } from "./read-options.ts";
export { documentsForKubernetes, valueForKubernetes } from "./read-yaml.ts";

/** The fields of a node of the package's document tree in which keys can be found. */
interface YamlNode {
  readonly items?: readonly (YamlNode & { readonly key?: YamlNode | null; readonly value?: YamlNode | null })[];
  readonly range?: readonly [number, ...number[]] | null;
}

/**
 * The offset of the first key that is a map or a list, such as an unquoted `{{ name }}` of a template. Undefined if
 * there is none. Kubernetes' and Istio's programs refuse such keys, but the package turns them into strings.
 */
export function collectionKeyOffset(node: unknown): number | undefined {
  for (const item of (node as YamlNode | null)?.items ?? []) {
    if (item.key?.items !== undefined) return item.key.range?.[0] ?? 0;
    const below = collectionKeyOffset(item.key === undefined ? item : item.value);
    if (below !== undefined) return below;
  }
  return undefined;
}

export const collectionKeyFault = "a key must be a string, and not a map or list; put quotes around {{ ... }}";

/**
 * Options with which the package `yaml` writes texts. It quotes strings that Kubernetes' and Istio's programs would
 * read as something else, such as `no`. It writes repeated parts in full, because people read and change the text.
 */
export const writtenForKubernetes = { compat: "yaml-1.1", aliasDuplicateObjects: false } as const;

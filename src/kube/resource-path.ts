import type { KindDefinition } from "../api/index.ts";
import type { ListOptions } from "./client.ts";

/**
 * The path of an object in the API, such as `/apis/apps/v1/namespaces/shop/deployments/web/status`. Without a name, it
 * is the path of the collection.
 */
export function resourcePath(
  kind: KindDefinition,
  namespace: string | undefined,
  name?: string,
  subresource?: string,
): string {
  const root = kind.group === "" ? `/api/${kind.versions[0]}` : `/apis/${kind.group}/${kind.versions[0]}`;
  const within =
    kind.namespaced && namespace !== undefined && namespace !== ""
      ? `/namespaces/${encodeURIComponent(namespace)}`
      : "";
  const item = name === undefined ? "" : `/${encodeURIComponent(name)}`;
  return `${root}${within}/${kind.plural}${item}${subresource === undefined ? "" : `/${subresource}`}`;
}

/** The path of a pod's log. The parameters are those of the API, such as `container` and `tailLines`. */
export function podLogPath(
  { namespace, name }: { readonly namespace: string; readonly name: string },
  parameters: Readonly<Record<string, string>>,
): string {
  const pod = `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(name)}`;
  return withQuery(`${pod}/log`, parameters);
}

export function withQuery(path: string, parameters: Readonly<Record<string, string | undefined>>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters))
    if (value !== undefined && value !== "") query.set(name, value);
  const text = query.toString();
  return text === "" ? path : `${path}?${text}`;
}

/**
 * Names an object for messages: `Deployment default/web`. Without a name, names the collection: `Deployments in all
 * namespaces`.
 */
export function describeObject(kind: KindDefinition, namespace: string | undefined, name?: string): string {
  const inNamespace = kind.namespaced && namespace !== undefined && namespace !== "";
  if (name !== undefined) return `${kind.kind} ${inNamespace ? `${namespace}/` : ""}${name}`;
  if (!kind.namespaced) return kind.plural;
  return inNamespace ? `${kind.plural} in namespace ${namespace}` : `${kind.plural} in all namespaces`;
}

export function selectorQuery(options: ListOptions): Readonly<Record<string, string | undefined>> {
  return { labelSelector: options.labelSelector, fieldSelector: options.fieldSelector };
}

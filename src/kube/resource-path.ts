import type { KindDefinition } from "../api/index.ts";
import type { ListOptions } from "./client.ts";

/**
 * The API path of an object, such as `/apis/apps/v1/namespaces/shop/deployments/web/status`, or of a collection if
 * there is no name.
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

/** The API path of a pod's log. `parameters` are query parameters of the API, such as `container` and `tailLines`. */
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
 * Describes an object for messages, such as `Deployment default/web`, or a collection if there is no name, such as
 * `deployments in all namespaces`.
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

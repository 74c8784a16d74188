import type { Tree } from "../base/index.ts";
import { matchesLabelSelector } from "../api/index.ts";
import { istioLabels, type ProxyConfigObject } from "../api/istio/index.ts";
import { parseProxyConfig } from "../api/proxy-config-text/index.ts";

export interface ProxyConfigScope {
  readonly namespace: string;
  readonly rootNamespace: string;
  readonly revision: string;
  readonly labels: Readonly<Record<string, string>>;
  /** The pod's annotation `proxy.istio.io/config`. */
  readonly annotation: string | undefined;
}

/**
 * The layers that override the mesh's proxy config for a pod, in ascending precedence: the ProxyConfig objects of the
 * root namespace and of the pod's namespace, the pod's annotation, and the ProxyConfig objects that select the pod.
 * Throws a user error for an invalid annotation.
 */
export function proxyConfigLayers(objects: readonly ProxyConfigObject[], scope: ProxyConfigScope): Tree[] {
  const { namespace, rootNamespace, revision, labels, annotation } = scope;
  // The oldest object takes precedence, so that a new object does not change pods unexpectedly.
  const mine = objects
    .filter(({ metadata }) => (metadata.labels?.[istioLabels.revision] ?? revision) === revision)
    .toSorted(youngerFirst);
  const unselective = (place: string): Tree[] =>
    mine.filter(({ metadata, spec }) => metadata.namespace === place && spec.selector === undefined).map(treeOf);
  const selecting = mine.filter(
    ({ metadata, spec }) =>
      metadata.namespace === namespace && spec.selector !== undefined && matchesLabelSelector(spec.selector, labels),
  );
  return [
    ...unselective(rootNamespace),
    ...(namespace === rootNamespace ? [] : unselective(namespace)),
    ...(annotation === undefined ? [] : [parseProxyConfig(annotation)]),
    ...selecting.map(treeOf),
  ];
}

/**
 * Sorts the youngest object first. If two objects were created in the same second, the name decides: the alphabetically
 * first one counts as older.
 */
function youngerFirst(a: ProxyConfigObject, b: ProxyConfigObject): number {
  const ageOf = ({ metadata }: ProxyConfigObject): string =>
    `${metadata.creationTimestamp ?? ""} ${metadata.name ?? ""}`;
  return ageOf(b) < ageOf(a) ? -1 : Number(ageOf(b) > ageOf(a));
}

function treeOf({ spec }: ProxyConfigObject): Tree {
  return {
    ...(spec.concurrency === undefined ? {} : { concurrency: spec.concurrency }),
    ...(Object.keys(spec.environmentVariables).length === 0 ? {} : { proxyMetadata: spec.environmentVariables }),
    ...(spec.image === undefined ? {} : { image: spec.image }),
  };
}

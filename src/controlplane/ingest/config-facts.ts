import type { KindDefinition, KubernetesObject } from "../../api/index.ts";
import { istioLabels } from "../../api/istio/index.ts";
import type { ConfigFacts } from "../model/facts.ts";

interface WithSpec<Spec> extends KubernetesObject {
  spec: Spec;
}

/**
 * A checked configuration object; undefined when its parser refuses it (the webhook has said why, or its writer went
 * round it) or when it is another revision's: these match by the exact revision, never by a tag.
 */
export function configFacts<Spec>(kind: KindDefinition<WithSpec<Spec>>, object: WithSpec<Spec>, revision: string | undefined): ConfigFacts<Spec> | undefined {
  const wanted = object.metadata.labels?.[istioLabels.revision];
  if (revision !== undefined && wanted !== undefined && wanted !== revision) return undefined;
  const value = kind.parse === undefined ? object : kind.parse(object).value;
  if (value === undefined) return undefined;
  const { metadata } = object;
  return {
    namespace: metadata.namespace ?? "",
    name: metadata.name ?? "",
    labels: metadata.labels ?? {},
    annotations: relevantAnnotations(metadata.annotations ?? {}),
    createdAt: metadata.creationTimestamp ?? "",
    generation: metadata.generation ?? 0,
    spec: value.spec,
  };
}

/** Others (kubectl's last applied configuration) change without meaning anything. */
function relevantAnnotations(annotations: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(annotations).filter(([name]) => /(^|\.)(istio\.io|serin\.dev)\//.test(name)));
}

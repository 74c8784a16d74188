import type { FieldIssue, KindDefinition, KubernetesObject } from "../../api/index.ts";
import { istioLabels } from "../../api/istio/index.ts";
import type { ConfigFacts } from "../model/facts.ts";

interface WithSpec<Spec> extends KubernetesObject {
  spec: Spec;
}

export interface ConfigRules<Spec> {
  /** Objects that name another one are none of ours: by the exact revision, never by a tag. Absent: all are. */
  readonly revision?: string;
  /** Told of what a parser refuses: the webhook has said why, or the object's writer went round it. */
  readonly refused: (object: KubernetesObject, issues: readonly FieldIssue[]) => void;
  /** What counts instead of a spec that is refused; absent, or undefined: nothing. */
  readonly instead?: (object: KubernetesObject) => Spec | undefined;
}

/** A checked configuration object; undefined when it is another revision's, or refused. */
export function configFacts<Spec>(
  kind: KindDefinition<WithSpec<Spec>>,
  object: WithSpec<Spec>,
  rules: ConfigRules<Spec>,
): ConfigFacts<Spec> | undefined {
  const wanted = object.metadata.labels?.[istioLabels.revision];
  if (rules.revision !== undefined && wanted !== undefined && wanted !== rules.revision) return undefined;
  const spec = specOf(kind, object, rules);
  if (spec === undefined) return undefined;
  const { metadata } = object;
  return {
    namespace: metadata.namespace ?? "",
    name: metadata.name ?? "",
    labels: metadata.labels ?? {},
    annotations: relevantAnnotations(metadata.annotations ?? {}),
    createdAt: metadata.creationTimestamp ?? "",
    generation: metadata.generation ?? 0,
    spec,
  };
}

function specOf<Spec>(
  kind: KindDefinition<WithSpec<Spec>>,
  object: WithSpec<Spec>,
  rules: ConfigRules<Spec>,
): Spec | undefined {
  const parsed = kind.parse?.(object);
  if (parsed === undefined) return object.spec;
  if (parsed.value !== undefined) return parsed.value.spec;
  rules.refused(object, parsed.errors);
  return rules.instead?.(object);
}

/** Others (kubectl's last applied configuration) change without meaning anything. */
function relevantAnnotations(annotations: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(annotations).filter(([name]) => /(^|\.)(istio\.io|serin\.dev)\//.test(name)),
  );
}

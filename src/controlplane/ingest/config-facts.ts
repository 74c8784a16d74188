import type { FieldIssue, KindDefinition, KubernetesObject } from "../../api/index.ts";
import { istioLabels, type Corrected } from "../../api/istio/index.ts";
import type { ConfigFacts } from "../model/facts.ts";

interface WithSpec<Spec> extends KubernetesObject {
  spec: Spec;
}

export interface ConfigRules<Spec> {
  /**
   * The revision that reads objects. An object that names another revision is left out, unless it names a tag of this
   * revision or none at all. If absent, all objects are read.
   */
  readonly revision?: string;
  /**
   * Called for an object that its parser refuses. The object may have bypassed the validation webhook, or an earlier
   * release may have accepted it. `isCorrected` says that the object is used without its faulty fields.
   */
  readonly refused: (object: KubernetesObject, issues: readonly FieldIssue[], isCorrected?: boolean) => void;
  /** Corrects an object with these issues. If this is absent or returns undefined, the object is refused as a whole. */
  readonly correct?: (object: WithSpec<Spec>, issues: readonly FieldIssue[]) => Corrected<Spec> | undefined;
  /** The spec to use instead of a refused one. If this is absent or returns undefined, the object is left out. */
  readonly instead?: (object: KubernetesObject) => Spec | undefined;
}

/** The facts of a configuration object. Undefined if it belongs to another revision or is refused. */
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
    uid: metadata.uid ?? "",
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
  const corrected = rules.correct?.(object, parsed.errors);
  rules.refused(object, corrected?.issues ?? parsed.errors, corrected !== undefined);
  return corrected?.spec ?? rules.instead?.(object);
}

/**
 * The annotations that have an effect on the mesh. Others, such as kubectl's last applied configuration, may change
 * without any effect.
 */
function relevantAnnotations(annotations: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(annotations).filter(([name]) => /(^|\.)(istio\.io|serin\.dev)\//.test(name)),
  );
}

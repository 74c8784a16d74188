import { matchesLabelSelector } from "../../api/index.ts";
import type { MutualTlsMode } from "../../api/istio/index.ts";
import { byAge, factsKey, type Labels, type PeerAuthenticationFacts } from "./facts.ts";

/** What holds for one workload. */
export interface EffectivePeerAuthentication {
  readonly strict: boolean;
  /** The policy that has ports of its own and selects the workload. */
  readonly withPorts: PeerAuthenticationFacts | undefined;
}

/** The strictness that a policy with a selector inherits where its own mode is unset. */
export function inheritedStrict(namespace: string, rootNamespace: string, policies: readonly PeerAuthenticationFacts[]): boolean {
  return strictOf([wholeNamespace(policies, namespace), namespace === rootNamespace ? undefined : wholeNamespace(policies, rootNamespace)]);
}

/** Workload beats namespace beats mesh; of several of one level the oldest counts. `policies` are the namespace's and the root's. */
export function effectivePeerAuthentication(
  workload: { readonly namespace: string; readonly labels: Labels },
  rootNamespace: string,
  policies: readonly PeerAuthenticationFacts[],
): EffectivePeerAuthentication {
  const own = policies
    .filter((policy) => policy.namespace === workload.namespace && hasSelector(policy) && matchesLabelSelector(policy.spec.selector, workload.labels))
    .sort(byAge)[0];
  const inherited = inheritedStrict(workload.namespace, rootNamespace, policies);
  const strict = own === undefined || own.spec.mode === "UNSET" ? inherited : own.spec.mode === "STRICT";
  return { strict, withPorts: own !== undefined && Object.keys(own.spec.portLevelModes).length > 0 ? own : undefined };
}

export function hasSelector(policy: PeerAuthenticationFacts): boolean {
  return Object.keys(policy.spec.selector?.matchLabels ?? {}).length > 0;
}

function wholeNamespace(policies: readonly PeerAuthenticationFacts[], namespace: string): MutualTlsMode | undefined {
  return policies.filter((policy) => policy.namespace === namespace && !hasSelector(policy)).sort(byAge)[0]?.spec.mode;
}

function strictOf(modes: readonly (MutualTlsMode | undefined)[]): boolean {
  return modes.find((mode) => mode !== undefined && mode !== "UNSET") === "STRICT";
}

/** The name of the policy for ztunnels that a PeerAuthentication with ports becomes. */
export function convertedPolicyName(policy: PeerAuthenticationFacts): string {
  return `converted_peer_authentication_${policy.name}`;
}

export const staticStrictPolicyName = "istio_converted_static_strict";

/** Keys of the converted policies that a workload lists. */
export function convertedPolicyKeys(effective: EffectivePeerAuthentication, rootNamespace: string): readonly string[] {
  const { withPorts, strict } = effective;
  if (withPorts !== undefined) return [factsKey({ namespace: withPorts.namespace, name: convertedPolicyName(withPorts) })];
  return strict ? [`${rootNamespace}/${staticStrictPolicyName}`] : [];
}

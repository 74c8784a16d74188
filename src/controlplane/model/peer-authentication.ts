import { matchesLabelSelector } from "../../api/index.ts";
import type { MutualTlsMode } from "../../api/istio/index.ts";
import type { CollectionReader } from "../../kube/index.ts";
import { byAge, factsKey, type Labels, type PeerAuthenticationFacts } from "./facts.ts";
import type { MeshInputs } from "./mesh-inputs.ts";
import { hasSelector, selecting, selectorKeys } from "./selection.ts";

/** The policies that apply to a workload: those that select it, and those for its whole namespace or the mesh. */
export function peerAuthenticationsFor(
  { namespace, labels }: { readonly namespace: string; readonly labels: Labels },
  rootNamespace: string,
  inputs: MeshInputs,
  reader: CollectionReader,
): readonly PeerAuthenticationFacts[] {
  const selectorOf = ({ spec }: PeerAuthenticationFacts): Labels => spec.selector?.matchLabels ?? {};
  const bySelector = inputs.peerAuthentications.index("selector", (policy) =>
    selectorKeys(policy.namespace, selectorOf(policy)),
  );
  return [
    ...selecting(bySelector, namespace, labels, selectorOf, reader),
    ...inheritedPeerAuthenticationsFor(namespace, rootNamespace, inputs, reader),
  ];
}

/**
 * The policies of {@link peerAuthenticationsFor} that apply to all workloads. A result that depends only on them is not
 * computed again when one of thousands of policies with selectors changes.
 */
export function inheritedPeerAuthenticationsFor(
  namespace: string,
  rootNamespace: string,
  { peerAuthentications }: MeshInputs,
  reader: CollectionReader,
): readonly PeerAuthenticationFacts[] {
  const inherited = peerAuthentications.index("inherited", (policy) => (hasSelector(policy) ? [] : [policy.namespace]));
  return [...new Set([namespace, rootNamespace])].flatMap((scope) => reader.lookup(inherited, scope));
}

export function namespaceMutualTls(
  namespace: string,
  rootNamespace: string,
  policies: readonly PeerAuthenticationFacts[],
): EffectiveMutualTls {
  return effective(inheritedModes(namespace, rootNamespace, policies));
}

export interface EffectivePeerAuthentication {
  readonly strict: boolean;
  /** The policy that selects the workload, if it sets modes for ports. */
  readonly withPorts: PeerAuthenticationFacts | undefined;
}

/**
 * Whether the policies of the namespace and the mesh require mutual TLS. A policy with a selector but without a mode
 * inherits this.
 */
export function inheritedStrict(
  namespace: string,
  rootNamespace: string,
  policies: readonly PeerAuthenticationFacts[],
): boolean {
  return namespaceMutualTls(namespace, rootNamespace, policies) === "STRICT";
}

/**
 * Which mode applies to a workload: its own policy's before the namespace's before the mesh's. Of several policies on
 * one level, the oldest counts. `policies` are those of the namespace and of the root namespace.
 */
export function effectivePeerAuthentication(
  workload: { readonly namespace: string; readonly labels: Labels },
  rootNamespace: string,
  policies: readonly PeerAuthenticationFacts[],
): EffectivePeerAuthentication {
  const own = selectingPolicy(workload, policies);
  const inherited = inheritedStrict(workload.namespace, rootNamespace, policies);
  const strict = own === undefined || own.spec.mode === "UNSET" ? inherited : own.spec.mode === "STRICT";
  return { strict, withPorts: own !== undefined && Object.keys(own.spec.portLevelModes).length > 0 ? own : undefined };
}

/** What a workload's port accepts: only mutual TLS, both, or only plain text. */
export type EffectiveMutualTls = "STRICT" | "PERMISSIVE" | "DISABLE";

/** The modes of a workload's ports. `ports` contains only those that a policy names. */
export interface WorkloadMutualTls {
  readonly mode: EffectiveMutualTls;
  readonly ports: ReadonlyMap<number, EffectiveMutualTls>;
}

/**
 * The modes of a workload's ports: a port's mode before the workload's before the namespace's before the mesh's. The
 * default is PERMISSIVE. `policies` are those of the namespace and of the root namespace.
 */
export function workloadMutualTls(
  workload: { readonly namespace: string; readonly labels: Labels },
  rootNamespace: string,
  policies: readonly PeerAuthenticationFacts[],
): WorkloadMutualTls {
  const own = selectingPolicy(workload, policies);
  const inherited = inheritedModes(workload.namespace, rootNamespace, policies);
  const mode = effective([own?.spec.mode, ...inherited]);
  const ports = Object.entries(own?.spec.portLevelModes ?? {}).map(
    ([port, wanted]) => [Number(port), effective([wanted, mode])] as const,
  );
  return { mode, ports: new Map(ports.sort(([left], [right]) => left - right)) };
}

/** The mode of a workload's port. `port` is the application's. With DISABLE, clients send plain text. */
export function mutualTlsModeOf(settings: WorkloadMutualTls, port: number): EffectiveMutualTls {
  return settings.ports.get(port) ?? settings.mode;
}

function effective(modes: readonly (MutualTlsMode | undefined)[]): EffectiveMutualTls {
  return modes.find((mode): mode is EffectiveMutualTls => mode !== undefined && mode !== "UNSET") ?? "PERMISSIVE";
}

/** The oldest policy of the namespace that selects the workload. */
function selectingPolicy(
  workload: { readonly namespace: string; readonly labels: Labels },
  policies: readonly PeerAuthenticationFacts[],
): PeerAuthenticationFacts | undefined {
  return policies
    .filter(
      (policy) =>
        policy.namespace === workload.namespace &&
        hasSelector(policy) &&
        matchesLabelSelector(policy.spec.selector, workload.labels),
    )
    .sort(byAge)[0];
}

function inheritedModes(
  namespace: string,
  rootNamespace: string,
  policies: readonly PeerAuthenticationFacts[],
): readonly (MutualTlsMode | undefined)[] {
  return [
    wholeNamespace(policies, namespace),
    namespace === rootNamespace ? undefined : wholeNamespace(policies, rootNamespace),
  ];
}

function wholeNamespace(policies: readonly PeerAuthenticationFacts[], namespace: string): MutualTlsMode | undefined {
  return policies.filter((policy) => policy.namespace === namespace && !hasSelector(policy)).sort(byAge)[0]?.spec.mode;
}

export function convertedPolicyName(policy: PeerAuthenticationFacts): string {
  return `converted_peer_authentication_${policy.name}`;
}

export const staticStrictPolicyName = "istio_converted_static_strict";

/** The ports whose mode differs from that of all other ports. */
export function differingPorts({ spec }: PeerAuthenticationFacts, strict: boolean): readonly number[] {
  const differing = Object.entries(spec.portLevelModes).filter(
    ([, mode]) => mode !== "UNSET" && (mode === "STRICT") !== strict,
  );
  return differing.map(([port]) => Number(port)).sort((left, right) => left - right);
}

export function convertedPolicyKeys(effective: EffectivePeerAuthentication, rootNamespace: string): readonly string[] {
  const { withPorts, strict } = effective;
  if (withPorts !== undefined && differingPorts(withPorts, strict).length > 0)
    return [factsKey({ namespace: withPorts.namespace, name: convertedPolicyName(withPorts) })];
  return strict ? [`${rootNamespace}/${staticStrictPolicyName}`] : [];
}

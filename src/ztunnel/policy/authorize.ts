import { parseIdentity } from "../../dataplane/tunnels/index.ts";
import { ipToBytes } from "../../net/index.ts";
import type { MeshState } from "../state/mesh-state.ts";
import type { PolicyReach } from "../state/mesh-change.ts";
import type {
  AddressRange,
  AuthorizationPolicy,
  PolicyMatch,
  StringMatch,
  Workload,
  WorkloadInfo,
} from "../state/model.ts";

/** The facts that policies examine. */
export interface ConnectionFacts {
  readonly sourceAddress: string;
  readonly destinationAddress: string;
  readonly destinationPort: number;
  /** The peer's SPIFFE id. Undefined without mTLS. */
  readonly sourceIdentity: string | undefined;
}

export type Verdict =
  | { readonly allowed: true }
  | {
      readonly allowed: false;
      readonly reason: string;
      /** The policies are not complete yet. New connections wait for them; live connections continue. */
      readonly pending?: true;
    };

const allowed: Verdict = { allowed: true };

/**
 * Whether the policies of a workload allow a connection. One matching DENY denies. If there are ALLOWs, one must match.
 * Dry-run policies have no effect. Nothing is allowed before all policies that the workload lists have arrived, because
 * one of them may be STRICT.
 */
export function authorize(state: MeshState, workload: Workload, facts: ConnectionFacts): Verdict {
  const missing = state.missingPolicy(workload);
  if (missing !== undefined) return { allowed: false, reason: missing, pending: true };
  if (!state.hasPolicies) return allowed;
  let hasAllow = false;
  let matchedAllow = false;
  const keys = [
    ...state.policiesOfNamespace(workload.namespace),
    ...state.policiesOfNamespace(""),
    ...workload.authorizationPolicies,
  ];
  for (const key of keys) {
    const policy = state.policy(key);
    if (policy === undefined || policy.dryRun) continue;
    if (policy.action === "Deny") {
      if (policyMatches(policy, facts))
        return { allowed: false, reason: `explicitly denied by: ${policy.namespace}/${policy.name}` };
    } else {
      hasAllow = true;
      matchedAllow ||= policyMatches(policy, facts);
    }
  }
  if (!hasAllow || matchedAllow) return allowed;
  return { allowed: false, reason: "allow policies exist, but none allowed" };
}

/** Whether a live connection may continue. It is closed only if its policies are complete. */
export function stillAllowed(verdict: Verdict): boolean {
  return verdict.allowed || verdict.pending === true;
}

/** A live connection, as far as policies concern it. Only inbound connections have policies. */
interface PolicedConnection {
  readonly pod: { readonly uid: string };
  readonly stillAllowed?: () => boolean;
}

/**
 * The live connections that policies do not allow any more. Evaluates only connections to those of these pods that a
 * change reaches, because a node has many connections and its mesh changes often. `live` is called only if there are
 * such pods.
 */
export function deniedConnections<Connection extends { readonly details: PolicedConnection }>(
  state: MeshState,
  reach: PolicyReach,
  pods: readonly { readonly uid: string; readonly info: WorkloadInfo }[],
  live: () => readonly Connection[],
): readonly Connection[] {
  if (!state.hasPolicies) return [];
  const reached = new Set<string>();
  for (const { uid, info } of pods) {
    const workload = state.workloadByPod(info);
    // Connections to a pod that has left xDS remain under the policies that it had, which only they know.
    if (workload === undefined || reach.includes(workload)) reached.add(uid);
  }
  if (reached.size === 0) return [];
  return live().filter(({ details }) => reached.has(details.pod.uid) && details.stillAllowed?.() === false);
}

/** A policy without rules matches nothing. A clause without matches matches everything. */
export function policyMatches(policy: AuthorizationPolicy, facts: ConnectionFacts): boolean {
  return policy.rules.some((clauses) =>
    clauses.every((matches) => matches.length === 0 || matches.some((match) => matchMatches(match, facts))),
  );
}

function matchMatches(match: PolicyMatch, facts: ConnectionFacts): boolean {
  // An empty match would accidentally match everything.
  if (Object.values(match).every((values: readonly unknown[]) => values.length === 0)) return false;
  const identity = facts.sourceIdentity === undefined ? undefined : parseIdentity(facts.sourceIdentity);
  const principal =
    facts.sourceIdentity?.startsWith("spiffe://") === true ? facts.sourceIdentity.slice("spiffe://".length) : undefined;
  const sameAccount = (account: { readonly namespace: string; readonly serviceAccount: string }) =>
    identity !== undefined &&
    account.namespace === identity.namespace &&
    account.serviceAccount === identity.serviceAccount;
  return (
    oneOf(match.destinationIps, match.notDestinationIps, (range) => contains(range, facts.destinationAddress)) &&
    oneOf(match.sourceIps, match.notSourceIps, (range) => contains(range, facts.sourceAddress)) &&
    oneOf(match.destinationPorts, match.notDestinationPorts, (port) => port === facts.destinationPort) &&
    oneOf(match.serviceAccounts, match.notServiceAccounts, sameAccount) &&
    oneOf(match.principals, match.notPrincipals, (text) => principal !== undefined && textMatches(text, principal)) &&
    oneOf(match.namespaces, match.notNamespaces, (text) => textMatches(text, identity?.namespace ?? ""))
  );
}

function oneOf<Value>(
  positive: readonly Value[],
  negative: readonly Value[],
  matches: (value: Value) => boolean,
): boolean {
  return (positive.length === 0 || positive.some(matches)) && !negative.some(matches);
}

function textMatches(match: StringMatch, text: string): boolean {
  switch (match.kind) {
    case "exact":
      return text === match.value;
    case "prefix":
      return text.startsWith(match.value);
    case "suffix":
      return text.endsWith(match.value);
    case "presence":
      return text !== "";
  }
}

function contains(range: AddressRange, address: string): boolean {
  const network = ipToBytes(range.address);
  const bytes = ipToBytes(address);
  if (network.length !== bytes.length) return false;
  const whole = range.length >> 3;
  if (!network.subarray(0, whole).equals(bytes.subarray(0, whole))) return false;
  const rest = range.length & 7;
  return rest === 0 || ((network[whole] ?? 0) ^ (bytes[whole] ?? 0)) >> (8 - rest) === 0;
}

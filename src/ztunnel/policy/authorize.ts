import { parseIdentity, type Identity } from "../../dataplane/tunnels/index.ts";
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

export interface ConnectionFacts {
  readonly sourceAddress: string;
  readonly destinationAddress: string;
  readonly destinationPort: number;
  /** The peer's SPIFFE id. It is undefined without mTLS. */
  readonly sourceIdentity: string | undefined;
}

export type Verdict =
  | { readonly allowed: true }
  | {
      readonly allowed: false;
      readonly reason: string;
      /**
       * Set if policies are still missing. New connections then wait for the policies, and live connections continue.
       */
      readonly pending?: true;
    };

const allowed: Verdict = { allowed: true };

/**
 * Decides whether the policies of a workload allow a connection. One matching DENY policy denies it. If there are ALLOW
 * policies, one of them must match. Dry-run policies have no effect. No connection is allowed before all policies that
 * the workload lists have arrived, because one of them may demand mutual TLS (STRICT).
 */
export function authorize(state: MeshState, workload: Workload, facts: ConnectionFacts): Verdict {
  const missing = state.missingPolicy(workload);
  if (missing !== undefined) return { allowed: false, reason: missing, pending: true };
  if (!state.hasPolicies) return allowed;
  const subject = new Subject(facts);
  let hasAllow = false;
  let matchedAllow = false;
  const applied = [
    state.policiesOfNamespace(workload.namespace),
    state.policiesOfNamespace(""),
    workload.authorizationPolicies,
  ];
  for (const keys of applied) {
    for (const key of keys) {
      const policy = state.policy(key);
      if (policy === undefined || policy.dryRun) continue;
      if (policy.action === "Deny") {
        if (policyMatches(policy, subject)) return { allowed: false, reason: `explicitly denied by: ${key}` };
      } else {
        hasAllow = true;
        matchedAllow ||= policyMatches(policy, subject);
      }
    }
  }
  if (!hasAllow || matchedAllow) return allowed;
  return { allowed: false, reason: "allow policies exist, but none allowed" };
}

/** Whether a live connection may continue. It may also continue while policies are missing. */
export function stillAllowed(verdict: Verdict): boolean {
  return verdict.allowed || verdict.pending === true;
}

/**
 * The fields of a live connection that policies need. `stillAllowed` is absent for outbound connections, because
 * policies apply only to inbound ones.
 */
interface PolicedConnection {
  readonly pod: { readonly uid: string };
  readonly stillAllowed?: () => boolean;
}

/**
 * Returns the live connections that policies no longer allow. It evaluates only connections to pods whose policies may
 * have changed, because a node has many connections and its mesh changes often. It calls `live` only if there are such
 * pods.
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
    // A pod that has left xDS is checked too, because the last policies of its workload remain in force for its
    // connections.
    if (workload === undefined || reach.includes(workload)) reached.add(uid);
  }
  if (reached.size === 0) return [];
  return live().filter(({ details }) => reached.has(details.pod.uid) && details.stillAllowed?.() === false);
}

const spiffe = "spiffe://";

/**
 * The facts of a connection in the forms that policies compare. Each form is computed when a policy first needs it, and
 * only once.
 */
class Subject {
  readonly #facts: ConnectionFacts;
  #identity: Identity | false | undefined;
  #principal: string | false | undefined;
  #source: Uint8Array | undefined;
  #destination: Uint8Array | undefined;

  constructor(facts: ConnectionFacts) {
    this.#facts = facts;
  }

  get port(): number {
    return this.#facts.destinationPort;
  }

  /** False if the source has no identity in Istio's form. */
  get identity(): Identity | false {
    const { sourceIdentity = "" } = this.#facts;
    return (this.#identity ??= parseIdentity(sourceIdentity) ?? false);
  }

  /** False if the source has no SPIFFE id. */
  get principal(): string | false {
    const { sourceIdentity = "" } = this.#facts;
    return (this.#principal ??= sourceIdentity.startsWith(spiffe) && sourceIdentity.slice(spiffe.length));
  }

  get source(): Uint8Array {
    return (this.#source ??= ipToBytes(this.#facts.sourceAddress));
  }

  get destination(): Uint8Array {
    return (this.#destination ??= ipToBytes(this.#facts.destinationAddress));
  }
}

/** A policy without rules matches nothing. A clause without matches matches everything. */
function policyMatches(policy: AuthorizationPolicy, subject: Subject): boolean {
  return policy.rules.some((clauses) =>
    clauses.every((matches) => matches.length === 0 || matches.some((match) => matchMatches(match, subject))),
  );
}

function matchMatches(match: PolicyMatch, subject: Subject): boolean {
  return (
    // An empty match must match nothing. Without this check, it would match everything.
    !isEmpty(match) &&
    oneOf(match.destinationIps, match.notDestinationIps, subject, isDestination) &&
    oneOf(match.sourceIps, match.notSourceIps, subject, isSource) &&
    oneOf(match.destinationPorts, match.notDestinationPorts, subject, isPort) &&
    oneOf(match.serviceAccounts, match.notServiceAccounts, subject, isAccount) &&
    oneOf(match.principals, match.notPrincipals, subject, isPrincipal) &&
    oneOf(match.namespaces, match.notNamespaces, subject, isNamespace)
  );
}

function isEmpty(match: PolicyMatch): boolean {
  return (
    match.destinationIps.length + match.notDestinationIps.length === 0 &&
    match.sourceIps.length + match.notSourceIps.length === 0 &&
    match.destinationPorts.length + match.notDestinationPorts.length === 0 &&
    match.serviceAccounts.length + match.notServiceAccounts.length === 0 &&
    match.principals.length + match.notPrincipals.length === 0 &&
    match.namespaces.length + match.notNamespaces.length === 0
  );
}

/**
 * A condition of a match. The tests are plain functions, because closures would be allocated for each match of each
 * connection.
 */
type Test<Value> = (value: Value, subject: Subject) => boolean;

function oneOf<Value>(
  positive: readonly Value[],
  negative: readonly Value[],
  subject: Subject,
  test: Test<Value>,
): boolean {
  return (positive.length === 0 || hasOne(positive, subject, test)) && !hasOne(negative, subject, test);
}

function hasOne<Value>(values: readonly Value[], subject: Subject, test: Test<Value>): boolean {
  for (const value of values) if (test(value, subject)) return true;
  return false;
}

const isDestination: Test<AddressRange> = (range, { destination }) => contains(range, destination);
const isSource: Test<AddressRange> = (range, { source }) => contains(range, source);
const isPort: Test<number> = (value, { port }) => value === port;
const isPrincipal: Test<StringMatch> = (match, { principal }) => principal !== false && textMatches(match, principal);
const isNamespace: Test<StringMatch> = (match, { identity }) =>
  textMatches(match, identity === false ? "" : identity.namespace);
const isAccount: Test<PolicyMatch["serviceAccounts"][number]> = ({ namespace, serviceAccount }, { identity }) =>
  identity !== false && namespace === identity.namespace && serviceAccount === identity.serviceAccount;

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

/** The bytes of each range's address. A changed policy has new range objects, so no entry becomes outdated. */
const networks = new WeakMap<AddressRange, Uint8Array>();

function networkOf(range: AddressRange): Uint8Array {
  let network = networks.get(range);
  if (network === undefined) networks.set(range, (network = ipToBytes(range.address)));
  return network;
}

function contains(range: AddressRange, address: Uint8Array): boolean {
  const network = networkOf(range);
  if (network.length !== address.length) return false;
  const whole = range.length >> 3;
  for (let index = 0; index < whole; index += 1) if (network[index] !== address[index]) return false;
  const rest = range.length & 7;
  return rest === 0 || ((network[whole] ?? 0) ^ (address[whole] ?? 0)) >> (8 - rest) === 0;
}

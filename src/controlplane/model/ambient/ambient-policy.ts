import type { AuthorizationRule } from "../../../api/istio/index.ts";
import { isDryRun } from "../authorization-selection.ts";
import type { AuthorizationPolicyFacts } from "../facts.ts";

/**
 * Fields of a policy's source that a ztunnel cannot check. It does not know trust domains, and only requests carry the
 * others.
 */
const sourceFields = [
  "remoteIpBlocks",
  "notRemoteIpBlocks",
  "requestPrincipals",
  "notRequestPrincipals",
  "trustDomains",
  "notTrustDomains",
] as const;
const operationFields = ["hosts", "notHosts", "methods", "notMethods", "paths", "notPaths"] as const;
const connectionKeys: ReadonlySet<string> = new Set([
  "source.ip",
  "source.namespace",
  "source.principal",
  "source.serviceAccount",
  "destination.ip",
  "destination.port",
]);

/** The fields and keys of a rule that a ztunnel cannot check, sorted. */
export function requestAttributes(rule: AuthorizationRule): readonly string[] {
  const found = [
    ...rule.to.flatMap((operation) => operationFields.filter((field) => operation[field].length > 0)),
    ...rule.from.flatMap((source) => sourceFields.filter((field) => (source[field] ?? []).length > 0)),
    ...rule.when.map(({ key }) => key).filter((key) => !connectionKeys.has(key)),
  ];
  return [...new Set(found)].sort();
}

/**
 * Whether a ztunnel can enforce the policy. Policies with targets belong to waypoints, and only waypoints support AUDIT
 * and CUSTOM. As in upstream, no ztunnel gets a dry-run policy: a ztunnel before 1.29 would enforce it, and ztunnels do
 * not send their version.
 */
export function isForZtunnel(policy: AuthorizationPolicyFacts): boolean {
  return (
    !isDryRun(policy) &&
    policy.spec.targetRefs.length === 0 &&
    (policy.spec.action === "ALLOW" || policy.spec.action === "DENY")
  );
}

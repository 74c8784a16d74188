import type { MessageInitShape } from "@bufbuild/protobuf";
import { HttpRbacSchema, NetworkRbacSchema, RBAC_Action, type RBACSchema } from "../../../wire/envoy/index.ts";
import type { AuthorizationAction, ProviderService } from "../../../api/istio/index.ts";
import { isDryRun } from "../../model/authorization-selection.ts";
import { compareText, type AuthorizationPolicyFacts, type MeshSettings } from "../../model/facts.ts";
import type { ProviderCluster } from "../../model/provider-cluster.ts";
import { filterInit, type FilterInit } from "../filter-init.ts";
import { externalAuthorization, networkExternalAuthorization } from "./security-external.ts";
import type { RuleContext } from "./rbac-principals.ts";
import { matchesNever, rbacPolicy, type RbacPolicyInit } from "./security-rbac.ts";

type RbacInit = Exclude<MessageInitShape<typeof RBACSchema>, { $typeName: string }>;

export interface AuthorizationContext {
  readonly mesh: MeshSettings;
  readonly tcp: boolean;
  readonly peer: RuleContext["peer"];
  /** The cluster of an external authorizer. Undefined if its service does not exist. */
  readonly clusterOf: (service: ProviderService) => ProviderCluster | undefined;
}

const httpRbacName = "envoy.filters.http.rbac";
const networkRbacName = "envoy.filters.network.rbac";

/** One filter each for AUDIT, DENY and ALLOW, in this order, because a DENY takes precedence over any ALLOW. */
export function authorizationFilters(
  policies: readonly AuthorizationPolicyFacts[],
  context: AuthorizationContext,
): FilterInit[] {
  const actions = [
    ["AUDIT", RBAC_Action.LOG],
    ["DENY", RBAC_Action.DENY],
    ["ALLOW", RBAC_Action.ALLOW],
  ] as const;
  return actions.flatMap(([name, action]) => {
    const own = policies.filter((policy) => policy.spec.action === name);
    if (own.length === 0) return [];
    const rules = rulesOf(
      own.filter((policy) => !isDryRun(policy)),
      action,
      context,
    );
    const shadowRules = rulesOf(own.filter(isDryRun), action, context);
    return rbacFilter(
      { ...rules, ...(shadowRules.rules === undefined ? {} : { shadowRules: shadowRules.rules }) },
      shadowPrefix(shadowRules.rules),
      context.tcp,
    );
  });
}

/** The prefix of the statistics of shadow rules. As in upstream, it is ALLOW's if there are no shadow rules. */
function shadowPrefix(shadowRules: RbacInit | undefined): string {
  switch (shadowRules?.action) {
    case RBAC_Action.DENY:
      return "istio_dry_run_deny_";
    case RBAC_Action.LOG:
      return "";
    default:
      return "istio_dry_run_allow_";
  }
}

function rbacFilter(
  rules: { readonly rules?: RbacInit; readonly shadowRules?: RbacInit },
  shadowRulesStatPrefix: string,
  tcp: boolean,
): FilterInit {
  if (tcp)
    return filterInit(networkRbacName, NetworkRbacSchema, { ...rules, statPrefix: "tcp.", shadowRulesStatPrefix });
  return filterInit(httpRbacName, HttpRbacSchema, { ...rules, shadowRulesStatPrefix });
}

/**
 * The rules of the policies. Absent if there are no policies, because an ALLOW filter with an empty list would deny
 * everything.
 */
function rulesOf(
  policies: readonly AuthorizationPolicyFacts[],
  action: RBAC_Action,
  context: AuthorizationContext,
  prefix = "",
): { readonly rules?: RbacInit } {
  if (policies.length === 0) return {};
  const written: Record<string, RbacPolicyInit> = {};
  for (const policy of policies) Object.assign(written, policiesOf(policy, context, prefix));
  return { rules: { action, policies: written } };
}

function policiesOf(
  policy: AuthorizationPolicyFacts,
  { mesh, tcp, peer }: AuthorizationContext,
  prefix: string,
): Record<string, RbacPolicyInit> {
  const name = (index: number): string => `${prefix}ns[${policy.namespace}]-policy[${policy.name}]-rule[${index}]`;
  if (policy.spec.rules.length === 0) return { [name(0)]: matchesNever };
  const context: RuleContext = {
    namespace: policy.namespace,
    trustDomain: mesh.trustDomain,
    trustDomainAliases: mesh.trustDomainAliases,
    tcp,
    allow: policy.spec.action === "ALLOW",
    peer,
  };
  const entries = policy.spec.rules.map((rule, index) => [name(index), rbacPolicy(rule, context)] as const);
  return Object.fromEntries(entries.filter((entry): entry is [string, RbacPolicyInit] => entry[1] !== undefined));
}

const custom: AuthorizationAction = "CUSTOM";

/**
 * The filters for CUSTOM policies. Their shadow rules select the requests that are sent to the provider. These requests
 * are denied if the provider is unknown, if its service is missing, or if the workload has several providers and the
 * control plane does not allow that. As in upstream, TCP chains leave out HTTP providers, which cannot decide about
 * connections.
 */
export function customAuthorizationFilters(
  policies: readonly AuthorizationPolicyFacts[],
  context: AuthorizationContext,
): FilterInit[] {
  const own = policies.filter((policy) => policy.spec.action === custom && !isDryRun(policy));
  const names = [...new Set(own.map((policy) => policy.spec.provider ?? ""))].sort(compareText);
  return names.flatMap((name) => {
    const prefix = `istio-ext-authz-${name}-`;
    const ofProvider = own.filter((policy) => (policy.spec.provider ?? "") === name);
    const { rules = {} } = rulesOf(ofProvider, RBAC_Action.DENY, context, prefix);
    const provider = context.mesh.extensionProviders.find((candidate) => candidate.name === name);
    const known =
      provider?.kind === "authorization-http" || provider?.kind === "authorization-grpc" ? provider : undefined;
    const providerCluster = known === undefined ? undefined : context.clusterOf(known.settings);
    if (
      known === undefined ||
      providerCluster === undefined ||
      (names.length > 1 && context.mesh.severalAuthorizers !== true)
    )
      return rbacFilter({ rules: deniesInstead(rules) }, "", context.tcp);
    if (context.tcp && known.kind === "authorization-http") return [];
    const shadow = rbacFilter({ shadowRules: rules }, "istio_ext_authz_", context.tcp);
    return [
      shadow,
      known.kind === "authorization-grpc" && context.tcp
        ? networkExternalAuthorization(known, providerCluster, prefix)
        : externalAuthorization(known, providerCluster, prefix),
    ];
  });
}

function deniesInstead(rules: RbacInit): RbacInit {
  const renamed = Object.entries(rules.policies ?? {}).map(
    ([name, policy]) => [`${name}-deny-due-to-bad-CUSTOM-action`, policy] as const,
  );
  return { action: RBAC_Action.DENY, policies: Object.fromEntries(renamed) };
}

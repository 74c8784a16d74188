import type { CollectionReader } from "../../../kube/index.ts";
import { PolicySelection, type PolicySubject } from "../../model/authorization-selection.ts";
import type { AuthorizationPolicyFacts, MeshSettings, RequestAuthenticationFacts } from "../../model/facts.ts";
import type { MeshInputs } from "../../model/mesh-inputs.ts";
import { ProviderClusters } from "../../model/provider-cluster.ts";
import type { KeySetFetcher } from "../../../api/pilot-settings/index.ts";
import { keySource } from "../../model/request-authentication-keys.ts";
import { usableKeySet } from "../../model/usable-key-set.ts";
import type { FilterInit } from "../filter-init.ts";
import {
  authorizationFilters,
  customAuthorizationFilters,
  type AuthorizationContext,
} from "./security-authorization.ts";
import { jwtFilter } from "./security-jwt.ts";
import type { RuleContext } from "./rbac-principals.ts";

export interface SecurityFilters {
  readonly http: readonly FilterInit[];
  /** The same policies for TCP chains. */
  readonly tcp: readonly FilterInit[];
}

export interface SecurityOptions {
  /** Where the peer's identity is. Behind HBONE, the connection itself carries none. */
  readonly peer?: RuleContext["peer"];
  /** Whether a route is selected again when the claims are known. Set for gateways, whose routes may match claims. */
  readonly clearRouteCache?: boolean;
}

/** Converts the AuthorizationPolicies and RequestAuthentications that apply to a subject to filters. */
export class SecurityPolicies {
  readonly #inputs: MeshInputs;
  readonly #clusters: ProviderClusters;
  readonly #authorization: PolicySelection<AuthorizationPolicyFacts>;
  readonly #authentication: PolicySelection<RequestAuthenticationFacts>;

  constructor(inputs: MeshInputs) {
    this.#inputs = inputs;
    this.#clusters = new ProviderClusters(inputs);
    this.#authorization = new PolicySelection(inputs.authorizationPolicies);
    this.#authentication = new PolicySelection(inputs.requestAuthentications);
  }

  filtersFor(
    subject: PolicySubject,
    mesh: MeshSettings,
    reader: CollectionReader,
    options: SecurityOptions = {},
  ): SecurityFilters {
    const { peer = "certificate", clearRouteCache = false } = options;
    const policies = this.#authorization.attachedTo(subject, mesh.rootNamespace, reader);
    // This is the order of upstream Istio. It matters to rules with the same issuer, which are tried in turn.
    const rules = this.#authentication
      .attachedTo(subject, mesh.rootNamespace, reader, "own")
      .flatMap((policy) => policy.spec.jwtRules);
    const keysOf = (rule: (typeof rules)[number]): string | undefined => {
      if (rule.jwks !== undefined) return usableKeySet(rule, rule.jwks);
      const source = keySource(rule);
      const found = source === undefined ? undefined : reader.get(this.#inputs.keySets, source.id);
      return found === undefined ? undefined : usableKeySet(found, found.keys);
    };
    const clusterOf: AuthorizationContext["clusterOf"] = (service) => this.#clusters.of(service, mesh, reader);
    const jwt = jwtFilter(rules, {
      keysOf,
      clusterOfKeys: ({ jwksUri }) => clusterOfKeys(jwksUri, mesh.keySetFetcher, clusterOf),
      clearRouteCache,
    });
    const shared: Omit<AuthorizationContext, "tcp"> = {
      mesh,
      peer,
      clusterOf,
    };
    const http = { ...shared, tcp: false };
    const tcp = { ...shared, tcp: true };
    return {
      http: [
        ...customAuthorizationFilters(policies, http),
        ...(jwt === undefined ? [] : [jwt]),
        ...authorizationFilters(policies, http),
      ],
      tcp: [...customAuthorizationFilters(policies, tcp), ...authorizationFilters(policies, tcp)],
    };
  }
}

/**
 * The cluster from which proxies fetch a key set. Undefined if they do not fetch it, because the control plane has or
 * fetches the keys.
 */
function clusterOfKeys(
  uri: string | undefined,
  fetcher: KeySetFetcher | undefined,
  clusterOf: AuthorizationContext["clusterOf"],
): string | undefined {
  if (uri === undefined || fetcher === undefined || fetcher === "control-plane" || !URL.canParse(uri)) return undefined;
  const { hostname, port, protocol } = new URL(uri);
  const number = port === "" ? (protocol === "https:" ? 443 : 80) : Number(port);
  const found = clusterOf({ service: hostname, port: number })?.cluster;
  // As in upstream, name the cluster even if its service does not exist, because the service may be created later.
  return found ?? (fetcher === "proxy" ? `outbound|${number}||${hostname}` : undefined);
}

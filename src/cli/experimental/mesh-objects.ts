import {
  authorizationPolicyKind,
  destinationRuleKind,
  istioGatewayKind,
  peerAuthenticationKind,
  virtualServiceKind,
} from "../../api/istio/index.ts";
import { matchesLabels, type KindDefinition, type KubernetesObject } from "../../api/index.ts";
import { httpRouteKind } from "../../api/gateway/index.ts";
import { serviceKind, type Service } from "../../api/kubernetes/index.ts";
import { treeAt } from "../../base/index.ts";
import { withFieldTypes, type FieldTypes } from "../../base/field-types/index.ts";
import { isKubeCode, type KubeClient } from "../../kube/index.ts";
import {
  authorizationPolicyFields,
  destinationRuleFields,
  gatewayFields,
  httpRouteFields,
  peerAuthenticationFields,
  virtualServiceFields,
} from "./described-fields.ts";

export interface Written<Spec> {
  readonly metadata: {
    readonly name?: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly spec: Spec;
}

export interface Destination {
  readonly destination?: {
    readonly host?: string;
    readonly subset?: string;
    readonly port?: { readonly number?: number };
  };
  readonly weight?: number;
}

export interface StringMatch {
  readonly exact?: string;
  readonly prefix?: string;
  readonly regex?: string;
}

export interface HttpRouteSpec {
  readonly match?: readonly {
    readonly uri?: StringMatch;
    readonly headers?: Readonly<Record<string, StringMatch>>;
    readonly gateways?: readonly string[];
  }[];
  readonly route?: readonly Destination[];
  readonly fault?: unknown;
}

export interface VirtualServiceSpec {
  readonly hosts?: readonly string[];
  readonly gateways?: readonly string[];
  readonly http?: readonly HttpRouteSpec[];
  readonly tls?: readonly { readonly route?: readonly Destination[] }[];
  readonly tcp?: readonly { readonly route?: readonly Destination[] }[];
}

interface PolicySpec {
  readonly tls?: { readonly mode?: string };
  readonly loadBalancer?: unknown;
  readonly connectionPool?: unknown;
  readonly outlierDetection?: unknown;
}

export interface DestinationRuleSpec {
  readonly host?: string;
  readonly subsets?: readonly { readonly name: string; readonly labels?: Readonly<Record<string, string>> }[];
  readonly trafficPolicy?: PolicySpec & {
    readonly portLevelSettings?: readonly (PolicySpec & { readonly port?: { readonly number?: number } })[];
  };
}

interface Selecting {
  readonly selector?: { readonly matchLabels?: Readonly<Record<string, string>> };
}

export interface PeerAuthenticationSpec extends Selecting {
  readonly mtls?: { readonly mode?: string };
  readonly portLevelMtls?: Readonly<Record<string, { readonly mode?: string }>>;
}

export interface AuthorizationPolicySpec extends Selecting {
  readonly action?: string;
  readonly targetRefs?: readonly unknown[];
}

export interface GatewaySpec {
  readonly selector?: Readonly<Record<string, string>>;
  readonly servers?: readonly { readonly port?: { readonly number?: number; readonly protocol?: string } }[];
}

export interface HttpRouteObjectSpec {
  readonly parentRefs?: readonly { readonly kind?: string; readonly name?: string; readonly namespace?: string }[];
  readonly rules?: readonly {
    readonly matches?: readonly { readonly path?: { readonly type?: string; readonly value?: string } }[];
    readonly backendRefs?: readonly { readonly name?: string; readonly namespace?: string; readonly weight?: number }[];
  }[];
}

export interface MeshObjects {
  readonly services: readonly Service[];
  readonly virtualServices: readonly Written<VirtualServiceSpec>[];
  readonly destinationRules: readonly Written<DestinationRuleSpec>[];
  readonly gateways: readonly Written<GatewaySpec>[];
  readonly peerAuthentications: readonly Written<PeerAuthenticationSpec>[];
  readonly authorizationPolicies: readonly Written<AuthorizationPolicySpec>[];
  readonly httpRoutes: readonly Written<HttpRouteObjectSpec>[];
}

/**
 * Reads the objects of all namespaces, because a route in any of them may target a service. A kind that is not
 * installed has no objects.
 */
export async function readMeshObjects(client: KubeClient): Promise<MeshObjects> {
  const [
    services,
    virtualServices,
    destinationRules,
    gateways,
    peerAuthentications,
    authorizationPolicies,
    httpRoutes,
  ] = await Promise.all([
    client.list(serviceKind).then(({ items }) => items),
    listWritten<VirtualServiceSpec>(client, virtualServiceKind, virtualServiceFields),
    listWritten<DestinationRuleSpec>(client, destinationRuleKind, destinationRuleFields),
    listWritten<GatewaySpec>(client, istioGatewayKind, gatewayFields),
    listWritten<PeerAuthenticationSpec>(client, peerAuthenticationKind, peerAuthenticationFields),
    listWritten<AuthorizationPolicySpec>(client, authorizationPolicyKind, authorizationPolicyFields),
    listWritten<HttpRouteObjectSpec>(client, httpRouteKind, httpRouteFields),
  ]);
  return {
    services,
    virtualServices,
    destinationRules,
    gateways,
    peerAuthentications,
    authorizationPolicies,
    httpRoutes,
  };
}

async function listWritten<Spec>(
  client: KubeClient,
  kind: KindDefinition,
  fields: FieldTypes,
): Promise<Written<Spec>[]> {
  const { items } = await client.list(kind).catch((error: unknown) => {
    if (isKubeCode(error, "not-found")) return { items: [] as KubernetesObject[] };
    throw error;
  });
  return items.map((item) => ({
    metadata: item.metadata,
    spec: withFieldTypes(treeAt(item, "spec") ?? {}, fields).value as Spec,
  }));
}

/** The full name of a host that a rule in the namespace states. */
export function fullHost(host: string, namespace: string): string {
  return host.includes(".") || host === "*"
    ? host.replace(/^([^.]+\.[^.]+)(\.svc)?$/, "$1.svc.cluster.local")
    : `${host}.${namespace}.svc.cluster.local`;
}

export function hostOf({ metadata }: Service): string {
  return `${metadata.name ?? ""}.${metadata.namespace ?? ""}.svc.cluster.local`;
}

export function hostMatches(wanted: string, host: string): boolean {
  return wanted === host || wanted === "*" || (wanted.startsWith("*.") && host.endsWith(wanted.slice(1)));
}

export function appliesTo(
  { metadata, spec }: Written<Selecting>,
  namespace: string,
  labels: Readonly<Record<string, string>>,
  rootNamespace: string,
): boolean {
  const isOfNamespace = metadata.namespace === namespace || metadata.namespace === rootNamespace;
  const wanted = spec.selector?.matchLabels;
  return isOfNamespace && (wanted === undefined || Object.keys(wanted).length === 0 || matchesLabels(wanted, labels));
}

export function shownName(
  { name = "", namespace = "" }: { readonly name?: string; readonly namespace?: string },
  spokenOf: string,
): string {
  return namespace === spokenOf || namespace === "" ? name : `${name}.${namespace}`;
}

import { matchesLabels } from "../../../api/index.ts";
import type { DestinationRuleSpec } from "../../../api/istio/index.ts";
import type { Collection, CollectionGraph } from "../../../kube/index.ts";
import type { GatewayServerModel, MergedGateway } from "./classic-gateway.ts";
import type { ConfigMapReference } from "../config-map-facts.ts";
import { configMapsOfPolicy } from "../backend-tls-model.ts";
import {
  backendCertificateOf,
  configMapsOfGateway,
  listenerTlsResources,
  terminateModeOption,
} from "./gateway-certificates.ts";
import { meshKey, type GatewayFacts } from "../facts.ts";
import { isManaged } from "./gateway-addresses.ts";
import { isIngressClass } from "../gateway-class.ts";
import { gatewayListeners } from "./gateway-listeners.ts";
import { gatewayAccountName } from "../gateway-names.ts";
import type { MeshInputs } from "../mesh-inputs.ts";
import { secretProvider } from "../provider-cluster.ts";
import {
  authoritySuffix,
  credentialResource,
  type SecretRecipient,
  type SecretReference,
  secretReferences,
  serverCredentials,
} from "../secret-facts.ts";
import type { ProxyGroup } from "../scope-choice.ts";

export interface SecretReferenceSources {
  readonly inputs: MeshInputs;
  /** The proxy groups by key. The merged Gateways have the same keys. */
  readonly groups: Collection<ProxyGroup>;
  readonly mergedGateways: Collection<MergedGateway>;
}

/**
 * The secrets that configuration names, each with the proxies that may get it. Classic Gateways and DestinationRules
 * name secrets of the proxy's own namespace. Objects of the Gateway API may also name secrets that a ReferenceGrant
 * allows. No other secret is read or sent.
 */
export function deriveSecretReferences(
  graph: CollectionGraph,
  { inputs, groups, mergedGateways }: SecretReferenceSources,
): readonly Collection<SecretReference>[] {
  const classic = graph.derive("secret-references-classic", mergedGateways, (merged, reader, key) => {
    const namespace = reader.get(groups, key)?.namespace;
    if (namespace === undefined) return [];
    const hasProvider = secretProvider(reader.get(inputs.mesh, meshKey)) !== undefined;
    const references = merged.listeners
      .flatMap(({ servers }) => servers)
      .flatMap((server) => {
        const { tls } = server;
        if (tls === undefined) return [];
        const { certificates, authority } = serverCredentials(tls, hasProvider);
        const verifies = tls.mode === "MUTUAL" || tls.mode === "OPTIONAL_MUTUAL";
        const resources = [...certificates, ...(verifies && authority !== undefined ? [authority] : [])].flatMap(
          ({ resource, from }) => (from === "control-plane" ? resource : []),
        );
        return ownReferences(resources, namespace, { isServer: true, author: authorOf(server) });
      });
    return keyed(key, references);
  });
  const gatewayApi = graph.derive("secret-references-gateways", inputs.gateways, (gateway, reader, key) => {
    if (!isIngressClass(gateway.spec.gatewayClassName, inputs, reader)) return [];
    const recipient = recipientOf(gateway);
    const references = gatewayListeners(gateway, inputs, reader).flatMap((owned) => {
      const { resourceNames, clientRoots, certificates } = listenerTlsResources(gateway, owned, inputs, reader);
      const beside =
        clientRoots === undefined && verifiesClients(owned.listener.tls?.options)
          ? certificates.map((resource) => `${resource}${authoritySuffix}`)
          : [];
      const use = { recipient, isServer: true, author: owned.owner.namespace };
      return [...resourceNames, ...beside].flatMap((resource) =>
        secretReferences(resource, gateway.namespace).map((reference) => ({ ...reference, ...use })),
      );
    });
    return keyed(key, references);
  });
  const destinations = graph.derive("secret-references-destinations", inputs.destinationRules, (rule, reader, key) => {
    const resources = credentialsOf(rule.spec).flatMap((name) => [
      credentialResource(name),
      `${credentialResource(name)}${authoritySuffix}`,
    ]);
    if (resources.length === 0) return [];
    // The clusters of sidecars use the secret only if the rule selects the sidecars.
    const selector = rule.spec.workloadSelector?.matchLabels;
    const reads = (group: ProxyGroup): boolean =>
      group.kind === "router" ||
      (selector !== undefined && group.namespace === rule.namespace && matchesLabels(selector, group.labels));
    const namespaces = new Set(reader.all(groups).flatMap((group) => (reads(group) ? group.namespace : [])));
    return [...namespaces].flatMap((namespace) =>
      keyed(`${key}@${namespace}`, ownReferences(resources, namespace, { author: rule.namespace })),
    );
  });
  // These are read for the Gateway's status, if a ReferenceGrant allows it. No proxy gets them.
  const backends = graph.derive(
    "secret-references-backends",
    inputs.gateways,
    (gateway, reader, key): Iterable<readonly [string, SecretReference]> => {
      const named = backendCertificateOf(gateway, inputs, reader);
      if (named === undefined || !isIngressClass(gateway.spec.gatewayClassName, inputs, reader)) return [];
      const { namespace: author } = gateway;
      return [[key, { proxyNamespace: "", resource: "", ...named, part: "keyPair", optional: false, author }]];
    },
  );
  return [classic, gatewayApi, destinations, backends];
}

/**
 * The ConfigMaps to which Gateways and BackendTLSPolicies refer: those of their own namespace, and others that a
 * ReferenceGrant allows.
 */
export function deriveConfigMapReferences(
  graph: CollectionGraph,
  inputs: MeshInputs,
): readonly Collection<ConfigMapReference>[] {
  const named = (
    key: string,
    references: readonly ConfigMapReference[],
  ): readonly (readonly [string, ConfigMapReference])[] =>
    references.map((reference) => [`${key}|${reference.namespace}/${reference.name}`, reference]);
  return [
    graph.derive("config-map-references-gateways", inputs.gateways, (gateway, reader, key) =>
      named(key, configMapsOfGateway(gateway, inputs, reader)),
    ),
    graph.derive("config-map-references-policies", inputs.backendTlsPolicies, (policy, _reader, key) =>
      named(key, configMapsOfPolicy(policy)),
    ),
  ];
}

function verifiesClients(options: Readonly<Record<string, string>> | undefined): boolean {
  return ["MUTUAL", "OPTIONAL_MUTUAL"].includes(options?.[terminateModeOption] ?? "");
}

function recipientOf(gateway: GatewayFacts): SecretRecipient {
  const { name } = gateway;
  return isManaged(gateway) ? { gateway: name, account: gatewayAccountName(gateway) } : { gateway: name };
}

/** The namespace of the object from which the server was generated. */
function authorOf({ gateway, author }: GatewayServerModel): string {
  return author ?? gateway.slice(0, gateway.indexOf("/"));
}

function ownReferences(
  resources: readonly string[],
  namespace: string,
  use: Pick<SecretReference, "isServer" | "author">,
): readonly SecretReference[] {
  return resources
    .flatMap((resource) => secretReferences(resource, namespace))
    .filter((reference) => reference.namespace === namespace)
    .map((reference) => ({ ...reference, ...use }));
}

function keyed(key: string, references: readonly SecretReference[]): readonly (readonly [string, SecretReference])[] {
  const unique = new Map(
    references.map((reference) => [
      `${key}|${reference.proxyNamespace}|${reference.resource}|${reference.namespace}/${reference.name}|${reference.author ?? ""}`,
      reference,
    ]),
  );
  return [...unique];
}

function credentialsOf({ trafficPolicy, subsets }: DestinationRuleSpec): readonly string[] {
  const policies = [trafficPolicy, ...subsets.map((subset) => subset.trafficPolicy)].flatMap((policy) => policy ?? []);
  return policies
    .flatMap((policy) => [policy.tls, ...policy.portLevelSettings.map((port) => port.tls)])
    .flatMap((tls) => tls?.credentialName ?? []);
}

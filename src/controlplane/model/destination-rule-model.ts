import {
  endpointShare,
  isWildcard,
  subsetShare,
  type DestinationSubset,
  type TrafficPolicy,
} from "../../api/istio/index.ts";
import type { Collection, CollectionGraph, CollectionIndex, CollectionReader } from "../../kube/index.ts";
import { deriveBackendTlsTargets, type BackendTlsTarget } from "./backend-tls-model.ts";
import { compareText, meshKey, type DestinationRuleFacts, type Labels, type MeshSettings } from "./facts.ts";
import { memos } from "./memos.ts";
import type { MeshInputs } from "./mesh-inputs.ts";
import { qualifiedHost, wildcardSet, wildcardsOver, type WildcardSet } from "./service/service-hostname.ts";
import type { EndpointModel } from "./service/service-endpoint-model.ts";
import { ofSubset } from "./service/service-endpoints.ts";
import { visibilityOf } from "./service/service-visibility.ts";

/** The DestinationRules of one namespace for one host, merged. */
export interface DestinationRuleModel {
  readonly namespace: string;
  /** The name of the oldest rule, which stands for all of them. */
  readonly name: string;
  readonly host: string;
  readonly trafficPolicy: TrafficPolicy | undefined;
  readonly subsets: readonly DestinationSubset[];
  /** The labels of the clients to which the rules apply. Undefined means all clients. */
  readonly selector: Labels | undefined;
  readonly visibleIn: readonly string[];
}

export interface HostRules {
  readonly namespace: string;
  readonly host: string;
  /** The rules for clients of the same namespace. */
  readonly local: readonly DestinationRuleModel[];
  /** The rules for clients of other namespaces. */
  readonly exported: readonly DestinationRuleModel[];
  /**
   * The rules that apply only to clients of the namespace. Those of the root namespace take precedence over rules of
   * services' namespaces.
   */
  readonly private: readonly DestinationRuleModel[];
}

export interface DestinationRules {
  /** The rules of each host, by `namespace/host`. */
  readonly hosts: Collection<HostRules>;
  /** The wildcard hosts for which a namespace has rules. It changes only if such a host appears or goes. */
  readonly wildcards: Collection<WildcardSet>;
  readonly ofNamespace: CollectionIndex<HostRules>;
  /** The rules by the namespaces in their `exportTo`. */
  readonly forGuests: CollectionIndex<HostRules>;
  /** Rules that match labels of their clients, all under the key {@link clientLabelsKey}. */
  readonly withClientLabels: CollectionIndex<DestinationRuleFacts>;
  /** Rules whose effect depends on the client's location, all under one key. */
  readonly withLocality: CollectionIndex<DestinationRuleFacts>;
  /** The BackendTLSPolicies by host. */
  readonly backendTls: CollectionIndex<BackendTlsTarget>;
  /** The targets of all BackendTLSPolicies, by `namespace/policy#index of the target`. */
  readonly backendTlsTargets: Collection<BackendTlsTarget>;
}

export const clientLabelsKey = "any";

export function deriveDestinationRules(graph: CollectionGraph, inputs: MeshInputs): DestinationRules {
  const hostOf = (rule: DestinationRuleFacts, mesh: MeshSettings): string =>
    qualifiedHost(rule.spec.host, rule.namespace, mesh.domain);
  const byHost = inputs.destinationRules.index("namespace-host", (rule) => [
    `${rule.namespace}/${rule.spec.host.toLowerCase()}`,
  ]);
  // Rules with the short and the full spelling of a host get the same key.
  const spellings = graph.derive("destination-rule-hosts", inputs.destinationRules, (rule, reader) => {
    const mesh = reader.get(inputs.mesh, meshKey);
    if (mesh === undefined) return [];
    const host = hostOf(rule, mesh);
    const suffix = `.${rule.namespace}.svc.${mesh.domain}`;
    const short = host.endsWith(suffix) && !isWildcard(host) ? host.slice(0, -suffix.length) : undefined;
    return [
      [
        `${rule.namespace}/${host}`,
        { namespace: rule.namespace, host, short: short?.includes(".") === true ? undefined : short },
      ],
    ];
  });
  const hosts = graph.derive(
    "destination-rules",
    spellings,
    ({ namespace, host, short }, reader): Iterable<readonly [string, HostRules]> => {
      const mesh = reader.get(inputs.mesh, meshKey);
      if (mesh === undefined) return [];
      const written = short === undefined ? [host] : [host, short];
      const rules = written
        .flatMap((spelling) => reader.lookup(byHost, `${namespace}/${spelling}`))
        .sort(bySelectorAndAge);
      return [[`${namespace}/${host}`, consolidate(namespace, host, rules, mesh)]];
    },
  );
  const backendTlsTargets = deriveBackendTlsTargets(graph, inputs);
  return {
    hosts,
    ofNamespace: hosts.index("namespace", (rules) => [rules.namespace]),
    forGuests: hosts.index(
      "guests",
      (rules) => new Set(rules.exported.flatMap(({ visibleIn }) => visibleIn.filter((name) => name !== "*"))),
    ),
    wildcards: deriveWildcards(graph, hosts),
    withClientLabels: inputs.destinationRules.index("client-labels", (rule) =>
      clientLabelNames(rule).length > 0 ? [clientLabelsKey] : [],
    ),
    backendTls: backendTlsTargets.index("host", ({ hosts: own }) => own.map((host) => host.toLowerCase())),
    backendTlsTargets,
    withLocality: inputs.destinationRules.index("locality", (rule) => (needsLocality(rule) ? [clientLabelsKey] : [])),
  };
}

function deriveWildcards(graph: CollectionGraph, hosts: Collection<HostRules>): Collection<WildcardSet> {
  const ofNamespace = hosts.index("wildcard", ({ namespace, host }) => (isWildcard(host) ? [namespace] : []));
  const namespaces = graph.derive("namespaces-of-wildcards", hosts, ({ namespace, host }) =>
    isWildcard(host) ? [[namespace, true]] : [],
  );
  return graph.derive(
    "destination-rule-wildcards",
    namespaces,
    (_, reader, namespace): Iterable<readonly [string, WildcardSet]> => [
      [namespace, wildcardSet(reader.lookup(ofNamespace, namespace).map(({ host }) => host))],
    ],
    ({ all: left }, { all: right }) => left.size === right.size && left.isSubsetOf(right),
  );
}

export function clientLabelNames(rule: DestinationRuleFacts): readonly string[] {
  return [...Object.keys(rule.spec.workloadSelector?.matchLabels ?? {}), ...failoverLabelNames(rule)];
}

export function failoverLabelNames({ spec }: DestinationRuleFacts): readonly string[] {
  const priorities = policiesOf(spec).flatMap((policy) => [
    ...(policy.loadBalancer?.localityLbSetting?.failoverPriority ?? []),
    ...(policy.loadBalancer?.zoneAwareLbSetting?.failoverPriority ?? []),
  ]);
  return priorities.map((label) => label.split("=")[0] ?? "");
}

/**
 * Whether the rule's effect depends on the client's locality. Outlier detection enables failover, which does, and
 * weights by locality always do.
 */
function needsLocality({ spec }: DestinationRuleFacts): boolean {
  return policiesOf(spec).some(
    ({ loadBalancer, outlierDetection }) =>
      outlierDetection !== undefined ||
      loadBalancer?.localityLbSetting !== undefined ||
      loadBalancer?.zoneAwareLbSetting !== undefined,
  );
}

function policiesOf(spec: DestinationRuleFacts["spec"]) {
  const whole = [spec.trafficPolicy, ...spec.subsets.map((subset) => subset.trafficPolicy)].flatMap(
    (policy) => policy ?? [],
  );
  return whole.flatMap((policy) => [policy, ...policy.portLevelSettings]);
}

function bySelectorAndAge(left: DestinationRuleFacts, right: DestinationRuleFacts): number {
  const selects = (rule: DestinationRuleFacts): number => Number(rule.spec.workloadSelector === undefined);
  return (
    selects(left) - selects(right) || compareText(left.createdAt, right.createdAt) || compareText(left.name, right.name)
  );
}

function consolidate(
  namespace: string,
  host: string,
  rules: readonly DestinationRuleFacts[],
  mesh: MeshSettings,
): HostRules {
  const models = rules.map(({ name, spec }): DestinationRuleModel => {
    const selector = spec.workloadSelector?.matchLabels;
    const exportTo = spec.exportTo.length === 0 ? mesh.defaultDestinationRuleExportTo : spec.exportTo;
    return {
      namespace,
      name,
      host,
      trafficPolicy: spec.trafficPolicy,
      subsets: spec.subsets,
      selector,
      visibleIn: selector === undefined ? visibilityOf(exportTo, namespace) : [namespace],
    };
  });
  const isPrivate = ({ visibleIn }: DestinationRuleModel): boolean =>
    visibleIn.length === 1 && visibleIn[0] === namespace;
  return {
    namespace,
    host,
    local: merge(models.filter(({ visibleIn }) => visibleIn.includes("*") || visibleIn.includes(namespace))),
    exported: merge(models.filter((model) => !isPrivate(model))),
    private: merge(models.filter(isPrivate)),
  };
}

/**
 * Merges rules for the same clients. Their subsets are joined, and the traffic policy is that of the oldest rule with
 * one.
 */
function merge(models: readonly DestinationRuleModel[]): readonly DestinationRuleModel[] {
  return [...Map.groupBy(models, clientsText).values()].flatMap((same) => {
    const [oldest] = same;
    if (oldest === undefined || same.length === 1) return same;
    const subsets = new Map<string, readonly DestinationSubset[]>();
    // The subsets of one rule stay together, even if two of them have the same name.
    for (const model of same)
      for (const [name, own] of Map.groupBy(model.subsets, (subset) => subset.name))
        if (!subsets.has(name)) subsets.set(name, own);
    return {
      ...oldest,
      subsets: [...subsets.values()].flat(),
      trafficPolicy: same.find(({ trafficPolicy }) => trafficPolicy !== undefined)?.trafficPolicy,
    };
  });
}

/** A text that is equal for rules with the same clients. */
function clientsText({ selector, visibleIn }: DestinationRuleModel): string {
  return JSON.stringify([
    selector === undefined ? null : Object.entries(selector).sort(([a], [b]) => compareText(a, b)),
    visibleIn,
  ]);
}

const subsetsByName = memos.memo<readonly DestinationSubset[], ReadonlyMap<string, DestinationSubset>>(
  "subsets-by-name",
);

/** The first subset of the name, if several have it. */
export function subsetOf(
  rule: Pick<DestinationRuleModel, "subsets"> | undefined,
  name: string | undefined,
): DestinationSubset | undefined {
  if (rule === undefined || name === undefined) return undefined;
  return subsetsByName
    .of(rule.subsets, () => new Map(rule.subsets.toReversed().map((subset) => [subset.name, subset])))
    .get(name);
}

/**
 * The subsets of a rule that get clusters, for a service with this number of ports. Each subset has a cluster for each
 * port. Subsets beyond the maximum are treated as if the rule did not contain them.
 */
export function clusterSubsets(
  rule: Pick<DestinationRuleModel, "subsets" | "host"> | undefined,
  ports: number,
): readonly DestinationSubset[] {
  const subsets = rule?.subsets ?? none;
  const most = rule === undefined ? 0 : subsetShare(rule.host, ports);
  return subsets.length <= most ? subsets : subsets.slice(0, most);
}

/**
 * The endpoints of one cluster, for a service with this number of ports: all of them, or those of a rule's subset. Many
 * subsets may select the same endpoints, so the subsets together get no more endpoints than a service may have.
 */
export function clusterEndpoints(
  endpoints: readonly EndpointModel[],
  rule: Pick<DestinationRuleModel, "subsets" | "host"> | undefined,
  subset: DestinationSubset | undefined,
  ports: number,
): readonly EndpointModel[] {
  if (subset === undefined) return endpoints;
  const found = ofSubset(endpoints, subset);
  const most = endpointShare(clusterSubsets(rule, ports).length * ports);
  return found.length <= most ? found : found.slice(0, most);
}

const none: readonly DestinationSubset[] = [];

export interface RuleClient {
  readonly namespace: string;
  readonly labels: Labels;
}

/**
 * The rule for a service and client: a rule of the client's namespace, or else an exported one of the service's
 * namespace, or else one of the root namespace. The first of these namespaces with any rule for the service decides, by
 * its rule with the most specific host. In the root namespace, private rules take precedence over exported ones.
 */
export function destinationRuleFor(
  service: { readonly hostname: string; readonly namespace: string },
  client: RuleClient,
  mesh: MeshSettings,
  rules: DestinationRules,
  reader: CollectionReader,
): DestinationRuleModel | undefined {
  const found = ownRuleFor(service, client, mesh, rules, reader);
  // Policies for ServiceEntries of other namespaces with the same host do not apply to this service.
  const policies = reader
    .lookup(rules.backendTls, service.hostname)
    .filter(({ policy }) => policy.namespace === service.namespace);
  return policies.length === 0 ? found : withBackendTls(found, service, policies);
}

/** Adds the TLS settings of BackendTLSPolicies if the rule has none. */
function withBackendTls(
  rule: DestinationRuleModel | undefined,
  { hostname: host }: { readonly hostname: string },
  policies: readonly BackendTlsTarget[],
): DestinationRuleModel {
  const [first] = policies;
  const name = `${first?.policy.name ?? ""}~backend-tls`;
  const base = rule ?? {
    namespace: first?.policy.namespace ?? "",
    name,
    host,
    trafficPolicy: undefined,
    subsets: [],
    selector: undefined,
    visibleIn: ["*"],
  };
  const { portLevelSettings, ...whole }: TrafficPolicy = base.trafficPolicy ?? { portLevelSettings: [] };
  const ofAll = policies.find(({ port }) => port === undefined)?.tls;
  const ofPorts = policies.flatMap(({ port, tls }) => (port === undefined ? [] : { port, tls }));
  const ownSettings = portLevelSettings.map((settings) => ({
    ...settings,
    tls: settings.tls ?? ofPorts.find(({ port }) => port === settings.port.number)?.tls ?? ofAll,
  }));
  const added = ofPorts
    .filter(({ port }) => !portLevelSettings.some((settings) => settings.port.number === port))
    .map(({ port, tls }) => ({ ...settingsOf(whole), port: { number: port }, tls: whole.tls ?? tls }));
  return {
    ...base,
    trafficPolicy: { ...whole, tls: whole.tls ?? ofAll, portLevelSettings: [...ownSettings, ...added] },
  };
}

/** The settings that a port's own settings replace as a whole. */
function settingsOf({ loadBalancer, connectionPool, outlierDetection }: Partial<TrafficPolicy>) {
  return { loadBalancer, connectionPool, outlierDetection };
}

function ownRuleFor(
  service: { readonly hostname: string; readonly namespace: string },
  client: RuleClient,
  mesh: MeshSettings,
  rules: DestinationRules,
  reader: CollectionReader,
): DestinationRuleModel | undefined {
  const ofClient = mostSpecificRules(
    client.namespace,
    service.hostname,
    client.namespace === mesh.rootNamespace ? "private" : "local",
    rules,
    reader,
  );
  if (ofClient.length > 0) return choose(ofClient, client);
  for (const namespace of [service.namespace, mesh.rootNamespace]) {
    const found = mostSpecificRules(namespace, service.hostname, "exported", rules, reader).filter(
      ({ visibleIn }) => visibleIn.includes("*") || visibleIn.includes(client.namespace),
    );
    if (found.length > 0) return choose(found, client);
  }
  return undefined;
}

function mostSpecificRules(
  namespace: string,
  host: string,
  pool: "local" | "exported" | "private",
  rules: DestinationRules,
  reader: CollectionReader,
): readonly DestinationRuleModel[] {
  const exact = reader.get(rules.hosts, `${namespace}/${host}`)?.[pool] ?? [];
  if (exact.length > 0) return exact;
  const wildcards = reader.get(rules.wildcards, namespace);
  if (wildcards === undefined) return [];
  for (const wildcard of wildcardsOver(host, wildcards)) {
    const found = reader.get(rules.hosts, `${namespace}/${wildcard}`)?.[pool] ?? [];
    if (found.length > 0) return found;
  }
  return [];
}

/**
 * Chooses the rule of a client. A rule that selects the client takes precedence over rules for all clients. Several
 * rules for all clients may be left, because only rules with the same exportTo are merged. As in upstream, the merged
 * rule whose oldest member is the youngest is then used.
 */
function choose(found: readonly DestinationRuleModel[], client: RuleClient): DestinationRuleModel | undefined {
  const selecting = found.find(
    ({ selector, namespace }) =>
      selector !== undefined &&
      namespace === client.namespace &&
      Object.entries(selector).every(([name, value]) => client.labels[name] === value),
  );
  return selecting ?? found.findLast(({ selector }) => selector === undefined);
}

/** The name of a rule in the metadata of the clusters that it configures. */
export function destinationRulePath(rule: DestinationRuleModel): string {
  return `/apis/networking.istio.io/v1/namespaces/${rule.namespace}/destination-rule/${rule.name}`;
}

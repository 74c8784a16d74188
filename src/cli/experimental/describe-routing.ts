import { matchesLabels } from "../../api/index.ts";
import type { Pod, Service } from "../../api/kubernetes/index.ts";
import {
  fullHost,
  hostMatches,
  hostOf,
  shownName,
  type Destination,
  type DestinationRuleSpec,
  type HttpRouteSpec,
  type MeshObjects,
  type StringMatch,
  type VirtualServiceSpec,
  type Written,
} from "./mesh-objects.ts";

export function describeDestinationRules(
  service: Service,
  pod: Pod | undefined,
  { destinationRules }: MeshObjects,
  spokenOf: string,
): string[] {
  return rulesFor(service, destinationRules).flatMap(({ metadata, spec }) => {
    const lines = [`DestinationRule: ${shownName(metadata, spokenOf)} for "${spec.host ?? ""}"`];
    const [matching, others] = subsetsOf(spec, pod);
    if (matching.length + others.length > 0) {
      if (matching.length === 0)
        lines.push(`   WARNING POD DOES NOT MATCH ANY SUBSETS.  (Non matching subsets ${others.join(",")})`);
      lines.push(`   Matching subsets: ${matching.join(",")}`);
      if (others.length > 0) lines.push(`      (Non-matching subsets ${others.join(",")})`);
    }
    return [...lines, ...policyLines(spec)];
  });
}

/** The DestinationRules that make clients connect to the whole service without the mesh's mutual TLS. */
export function plainTextRules(
  service: Service,
  { destinationRules }: MeshObjects,
): readonly { readonly name: string; readonly mode: string }[] {
  return rulesFor(service, destinationRules).flatMap(({ metadata, spec }) => {
    const tls = spec.trafficPolicy?.tls;
    const mode = tls?.mode ?? "DISABLE";
    const name = `${metadata.name ?? ""}.${metadata.namespace ?? ""}`;
    return tls === undefined || (mode !== "DISABLE" && mode !== "SIMPLE") ? [] : [{ name, mode }];
  });
}

function rulesFor(service: Service, rules: MeshObjects["destinationRules"]): MeshObjects["destinationRules"] {
  return rules.filter(({ metadata, spec }) =>
    hostMatches(fullHost(spec.host ?? "", metadata.namespace ?? ""), hostOf(service)),
  );
}

function subsetsOf({ subsets = [] }: DestinationRuleSpec, pod: Pod | undefined): [string[], string[]] {
  const isIn = ({ labels = {} }: { readonly labels?: Readonly<Record<string, string>> }): boolean =>
    Object.keys(labels).length === 0 || matchesLabels(labels, pod?.metadata.labels);
  return [
    subsets.filter(isIn).map(({ name }) => name),
    subsets.filter((subset) => !isIn(subset)).map(({ name }) => name),
  ];
}

type Policy = NonNullable<DestinationRuleSpec["trafficPolicy"]>;

function policyLines({ trafficPolicy }: DestinationRuleSpec): string[] {
  if (trafficPolicy === undefined) return ["   No Traffic Policy"];
  const ports = trafficPolicy.portLevelSettings ?? [];
  return [
    ...(trafficPolicy.tls === undefined ? [] : [`   Traffic Policy TLS Mode: ${trafficPolicy.tls.mode ?? "DISABLE"}`]),
    ...otherPolicies(trafficPolicy, "   "),
    ...(ports.length === 0 ? [] : ["   Port Level Settings:"]),
    ...ports.flatMap((policy) => [
      `    ${policy.port?.number ?? ""}:`,
      ...(policy.tls === undefined ? [] : [`      TLS Mode: ${policy.tls.mode ?? "DISABLE"}`]),
      ...otherPolicies(policy, "      "),
    ]),
  ];
}

function otherPolicies({ loadBalancer, connectionPool, outlierDetection }: Policy, indent: string): string[] {
  const named = {
    "load balancer": loadBalancer,
    "connection pool": connectionPool,
    "outlier detection": outlierDetection,
  };
  const present = Object.entries(named)
    .filter(([, value]) => value !== undefined)
    .map(([name]) => name);
  return present.length === 0 ? [] : [`${indent}Policies: ${present.join("/")}`];
}

/** Describes the VirtualServices and HTTPRoutes that send requests to the service, and their matches. */
export function describeRoutes(
  service: Service,
  pod: Pod | undefined,
  objects: MeshObjects,
  spokenOf: string,
): string[] {
  const isForService = (vs: Written<VirtualServiceSpec>): boolean =>
    leadsTo(vs, service) ||
    (vs.spec.hosts ?? []).some(
      (host) => host !== "*" && hostMatches(fullHost(host, vs.metadata.namespace ?? ""), hostOf(service)),
    );
  const rules = rulesFor(service, objects.destinationRules);
  const own = objects.virtualServices
    .filter(isForService)
    .flatMap((vs) => [
      `VirtualService: ${shownName(vs.metadata, spokenOf)}`,
      ...virtualServiceLines(vs, service, pod, rules),
    ]);
  const routes = objects.httpRoutes.flatMap(({ metadata, spec }) => {
    const leading = (spec.rules ?? []).filter(({ backendRefs = [] }) =>
      backendRefs.some(
        (ref) =>
          ref.name === service.metadata.name && (ref.namespace ?? metadata.namespace) === service.metadata.namespace,
      ),
    );
    if (leading.length === 0) return [];
    const parents = (spec.parentRefs ?? []).map(
      ({ kind = "Gateway", name = "", namespace }) =>
        `${kind} ${shownName({ name, namespace: namespace ?? metadata.namespace ?? "" }, spokenOf)}`,
    );
    const matches = leading.map(
      ({ matches: all = [] }) =>
        all.map(({ path }) => `${path?.value ?? "/"}${path?.type === "Exact" ? "" : "*"}`).join(", ") || "/*",
    );
    return [
      `HTTPRoute: ${shownName(metadata, spokenOf)} (${parents.join(", ")})`,
      ...matches.map((match) => `   Match: ${match}`),
    ];
  });
  return [...own, ...routes];
}

function destinationsOf({ http = [], tls = [], tcp = [] }: VirtualServiceSpec): readonly Destination[] {
  return [...http, ...tls, ...tcp].flatMap(({ route = [] }) => route);
}

function leadsTo({ metadata, spec }: Written<VirtualServiceSpec>, service: Service): boolean {
  return destinationsOf(spec).some((destination) => isTo(destination, metadata.namespace ?? "", service));
}

function isTo({ destination }: Destination, namespace: string, service: Service): boolean {
  return fullHost(destination?.host ?? "", namespace) === hostOf(service);
}

interface RouteFacts {
  readonly reaches: boolean;
  readonly facts: readonly string[];
  readonly misses: readonly string[];
}

function virtualServiceLines(
  vs: Written<VirtualServiceSpec>,
  service: Service,
  pod: Pod | undefined,
  rules: MeshObjects["destinationRules"],
): string[] {
  const { http = [], tcp = [], tls = [] } = vs.spec;
  const found = [...http, ...tls, ...tcp].map((route) =>
    factsOf(route, vs.metadata.namespace ?? "", service, pod, rules),
  );
  const reaching = found.filter(({ reaches }) => reaches);
  const misses = found.flatMap((facts) => facts.misses).map((miss) => `      ${miss}`);
  if (reaching.length === 0)
    return [
      `   WARNING: No destinations match pod subsets (checked ${found.length} ${http.length > 0 ? "HTTP" : "TCP"} routes)`,
      ...misses,
    ];
  const facts = reaching.flatMap((reachingFacts) => reachingFacts.facts).map((fact) => `   ${fact}`);
  if (reaching.length < found.length)
    return [
      ...facts,
      `   ${found.length - reaching.length} additional destination(s) that will not reach this pod`,
      ...(facts.length === 0 ? misses : []),
    ];
  if (facts.length > 0) return facts;
  return [
    ...(http.length > 0 ? [`   ${http.length} HTTP route(s)`] : []),
    ...(tls.length + tcp.length > 0 ? [`   ${tls.length + tcp.length} TCP route(s)`] : []),
  ];
}

function factsOf(
  route: HttpRouteSpec,
  namespace: string,
  service: Service,
  pod: Pod | undefined,
  rules: MeshObjects["destinationRules"],
): RouteFacts {
  const facts: string[] = [];
  const misses: string[] = [];
  let reaches = false;
  for (const destination of route.route ?? []) {
    const { host = "", subset } = destination.destination ?? {};
    const weight =
      destination.weight === undefined || destination.weight === 0 ? "" : ` with weight ${destination.weight}%`;
    if (!isTo(destination, namespace, service)) {
      if (weight !== "") misses.push(`Route to host "${host}"${weight}`);
      continue;
    }
    const miss = subset === undefined ? undefined : subsetMiss(subset, host, pod, rules);
    if (miss !== undefined) misses.push(miss);
    else reaches = true;
    if (miss === undefined && weight !== "")
      facts.push(`Route to host "${host}"${subset === undefined ? "" : ` subset "${subset}"`}${weight}`);
  }
  if (route.fault !== undefined) facts.push(`Fault injection ${JSON.stringify(route.fault)}`);
  const matches = (route.match ?? []).map(matchText).filter((text) => text !== "");
  return { reaches, facts: [...facts, ...(matches.length === 0 ? [] : [matches.join(", ")])], misses };
}

function subsetMiss(
  subset: string,
  host: string,
  pod: Pod | undefined,
  rules: MeshObjects["destinationRules"],
): string | undefined {
  if (rules.every(({ spec }) => (spec.subsets ?? []).length === 0))
    return `Warning: Route to subset ${subset} but NO DESTINATION RULE defining subsets!`;
  const sets = rules.map(({ spec }) => subsetsOf(spec, pod));
  if (sets.some(([matching]) => matching.includes(subset))) return undefined;
  if (sets.some(([, others]) => others.includes(subset))) return `Route to non-matching subset ${subset} for (${host})`;
  return `Warning: Route to UNKNOWN subset ${subset}; check DestinationRule ${rules.map(({ metadata }) => metadata.name ?? "").join(", ")}`;
}

function matchText({ uri, headers = {} }: NonNullable<HttpRouteSpec["match"]>[number]): string {
  const conditions = Object.entries(headers).map(([name, match]) => `${name}=${stringMatchText(match)}`);
  return [
    uri === undefined ? "" : stringMatchText(uri),
    conditions.length === 0 ? "" : `when headers are ${conditions.join("; ")}`,
  ]
    .filter((part) => part !== "")
    .join(" ");
}

function stringMatchText({ exact, prefix, regex }: StringMatch): string {
  if (exact !== undefined) return exact;
  if (prefix !== undefined) return `${prefix}*`;
  return regex === undefined ? "*" : `~${regex}`;
}

export function describeExposure(
  service: Service,
  { virtualServices, gateways, services }: MeshObjects,
  spokenOf: string,
): string[] {
  const leading = virtualServices.filter((vs) => leadsTo(vs, service));
  const names = new Set(
    leading.flatMap(({ metadata, spec }) =>
      (spec.gateways ?? [])
        .filter((name) => name !== "mesh")
        .map((name) => (name.includes("/") ? name : `${metadata.namespace ?? ""}/${name}`)),
    ),
  );
  const lines = gateways
    .filter(({ metadata }) => names.has(`${metadata.namespace ?? ""}/${metadata.name ?? ""}`))
    .flatMap(({ metadata, spec }) => {
      const entries = services.filter(
        ({ spec: own }) => own?.selector !== undefined && matchesLabels(spec.selector, own.selector),
      );
      if (entries.length === 0) return [`Gateway ${shownName(metadata, spokenOf)} selects no ingress gateway service`];
      return entries.flatMap((entry) =>
        (spec.servers ?? []).map(
          ({ port }) =>
            `Exposed on Ingress Gateway ${schemeOf(port?.protocol)}://${addressOf(entry)}${portSuffix(servicePort(entry, port?.number), port?.protocol)}`,
        ),
      );
    });
  return [...new Set(lines)];
}

function schemeOf(protocol = "HTTP"): string {
  return protocol.toLowerCase();
}

function addressOf({ metadata, status, spec }: Service): string {
  const [ingress] = status?.loadBalancer?.ingress ?? [];
  return ingress?.ip ?? ingress?.hostname ?? spec?.clusterIP ?? metadata.name ?? "";
}

/**
 * The service port that a gateway's route to a port number means: the number may be a target port of the pods or the
 * service's own port.
 */
function servicePort({ spec }: Service, wanted: number | undefined): number | undefined {
  return spec?.ports?.find(({ port, targetPort }) => targetPort === wanted || port === wanted)?.port ?? wanted;
}

function portSuffix(port: number | undefined, protocol = "HTTP"): string {
  const usual = protocol === "HTTPS" ? 443 : 80;
  return port === undefined || port === usual ? "" : `:${port}`;
}

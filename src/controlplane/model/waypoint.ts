import { istioLabels, meshWaypointAnnotations } from "../../api/istio/index.ts";
import { gatewayCanaryAnnotations } from "../../api/serin/index.ts";
import type { Collection, CollectionGraph, CollectionIndex, CollectionReader } from "../../kube/index.ts";
import { byAge, factsKey, type GatewayFacts, type Labels, type PodFacts } from "./facts.ts";
import { isWaypointClass, meshClassName, waypointClassName } from "./gateway-class.ts";
import type { MeshInputs } from "./mesh-inputs.ts";
import { allowsNamespace } from "./route-attachment.ts";
import { podsByLabel, podsSelectedBy } from "./service-endpoints.ts";
import { fullWeight, weightOf } from "./waypoint-weight.ts";

const hbonePort = 15_008;

/** Pods that serve as one waypoint. A Gateway of class `istio-mesh` without an account has one for every account of its namespace. */
export interface Waypoint {
  /** `namespace/gateway`; of class `istio-mesh` `namespace/gateway/account`. */
  readonly key: string;
  readonly namespace: string;
  readonly gateway: string;
  readonly className: string;
  /** Of its Deployment, and of its Service where it has one. */
  readonly name: string;
  /** That its pods run as. */
  readonly account: string;
  readonly takes: "service" | "workload" | "all" | "none";
  readonly port: number;
  /** Whether traffic is sent to it: from when a first pod is ready on. Later it stays, so that nothing passes it by. */
  readonly published: boolean;
  /** A pod of it is ready now. */
  readonly ready: boolean;
  /** The share of new connections that its pods of the Gateway's canary revision are to get, in percent; undefined: all pods count alike. */
  readonly canaryWeight: number | undefined;
}

/** A share of a service's connections that goes through one waypoint, in percent. */
export interface WaypointShare {
  readonly waypoint: Waypoint;
  readonly weight: number;
}

export interface Waypoints {
  /** By {@link Waypoint.key}. */
  readonly all: Collection<Waypoint>;
  /** Those of class `istio-mesh`, by `namespace/account`. */
  readonly byAccount: CollectionIndex<Waypoint>;
  readonly byNamespace: CollectionIndex<Waypoint>;
}

export function deriveWaypoints(graph: CollectionGraph, inputs: MeshInputs): Waypoints {
  const all = graph.derive("waypoints", inputs.gateways, (gateway, reader): Iterable<readonly [string, Waypoint]> => {
    if (!isWaypointClass(gateway.spec.gatewayClassName)) return [];
    const found = gateway.spec.gatewayClassName === meshClassName ? accountWaypoints(gateway, inputs, reader) : [namedWaypoint(gateway, inputs, reader)];
    return found.map((waypoint) => [waypoint.key, waypoint] as const);
  });
  const ofAccounts = (waypoint: Waypoint): boolean => waypoint.className === meshClassName;
  return {
    all,
    byAccount: all.index("account", (waypoint) => (ofAccounts(waypoint) ? [`${waypoint.namespace}/${waypoint.account}`] : [])),
    byNamespace: all.index("mesh-namespace", (waypoint) => (ofAccounts(waypoint) ? [waypoint.namespace] : [])),
  };
}

/** The waypoint that a pod is of, by the labels that its Deployment gives it. */
export function waypointKeyOf({ namespace, labels, serviceAccount }: Pick<PodFacts, "namespace" | "labels" | "serviceAccount">): string | undefined {
  const gateway = labels[istioLabels.gatewayName];
  const className = labels[istioLabels.gatewayClassName];
  if (gateway === undefined || className === undefined || !isWaypointClass(className)) return undefined;
  return className === meshClassName ? `${namespace}/${gateway}/${serviceAccount}` : `${namespace}/${gateway}`;
}

/** Pods of waypoints, by {@link Waypoint.key}. */
export function waypointPods(inputs: MeshInputs): CollectionIndex<PodFacts> {
  return inputs.pods.index("waypoint", (pod) => [waypointKeyOf(pod)].filter((key) => key !== undefined));
}

function namedWaypoint(gateway: GatewayFacts, inputs: MeshInputs, reader: CollectionReader): Waypoint {
  const { namespace, name } = gateway;
  const takes = gateway.labels[istioLabels.waypointFor];
  const slices = inputs.slices.index("service", (slice) => [slice.service]);
  const ready = reader.lookup(slices, `${namespace}/${name}`).some((slice) => slice.endpoints.some((endpoint) => endpoint.ready));
  return {
    key: factsKey(gateway),
    namespace,
    gateway: name,
    className: waypointClassName,
    name,
    account: name,
    takes: takes === "workload" || takes === "all" || takes === "none" ? takes : "service",
    port: portOf(gateway),
    published: reader.get(inputs.services, `${namespace}/${name}`) !== undefined && (gateway.programmed || ready),
    ready,
    canaryWeight: canaryWeightOf(gateway),
  };
}

function accountWaypoints(gateway: GatewayFacts, inputs: MeshInputs, reader: CollectionReader): readonly Waypoint[] {
  const { namespace, name } = gateway;
  const named = gateway.annotations[meshWaypointAnnotations.serviceAccount];
  const accounts = inputs.serviceAccounts.index("namespace", (account) => (account.managed ? [] : [account.namespace]));
  const wanted = named === undefined || named === "" ? reader.lookup(accounts, namespace).map((account) => account.name) : [named];
  return wanted.map((account) => {
    const key = `${namespace}/${name}/${account}`;
    const ready = reader.lookup(waypointPods(inputs), key).some((pod) => pod.ready);
    return {
      key,
      namespace,
      gateway: name,
      className: meshClassName,
      name: `${account}-waypoint-proxy`,
      account,
      takes: "all",
      port: portOf(gateway),
      // A Gateway has one state for all of its waypoints: of several it says nothing of each.
      published: ready || (named !== undefined && gateway.programmed),
      ready,
      canaryWeight: canaryWeightOf(gateway),
    };
  });
}

function canaryWeightOf({ annotations }: GatewayFacts): number | undefined {
  const weight = annotations[gatewayCanaryAnnotations.weight];
  return weight === undefined || annotations[gatewayCanaryAnnotations.revision] === undefined ? undefined : weightOf(weight);
}

function portOf(gateway: GatewayFacts): number {
  return gateway.spec.listeners.find((listener) => listener.protocol === "HBONE")?.port ?? hbonePort;
}

interface Subject {
  readonly namespace: string;
  readonly labels: Labels;
}

interface ServiceSubject extends Subject {
  readonly selector: Labels;
  readonly waypointCanaryWeight?: string | undefined;
}

/** Finds the waypoint of a Service or of a pod, published or not. */
export class WaypointBindings {
  readonly #inputs: MeshInputs;
  readonly #waypoints: Waypoints;

  constructor(inputs: MeshInputs, waypoints: Waypoints) {
    this.#inputs = inputs;
    this.#waypoints = waypoints;
  }

  /** As its labels say; else that of an account that some of its pods run as. */
  ofService(service: ServiceSubject, reader: CollectionReader): Waypoint | undefined {
    const said = this.#said(service, "service", reader);
    if (said !== undefined) return said.waypoint;
    if (reader.lookup(this.#waypoints.byNamespace, service.namespace).length === 0) return undefined;
    const pods = podsSelectedBy(podsByLabel(this.#inputs), service.namespace, service.selector, reader).filter((pod) => !isGatewayPod(pod));
    const accounts = [...new Set(pods.map((pod) => pod.serviceAccount))].sort();
    return accounts.flatMap((account) => this.#ofAccount(service.namespace, account, reader) ?? [])[0];
  }

  /** The waypoints that a Service's connections are divided among: the first one alone while its canary cannot be used. None: it has no waypoint. */
  sharesOfService(service: ServiceSubject, reader: CollectionReader): readonly WaypointShare[] {
    const primary = this.ofService(service, reader);
    if (primary === undefined) return [];
    const canary = this.#canaryOf(service, primary, reader);
    if (canary === undefined || !canary.waypoint.published || !canary.waypoint.ready) return [{ waypoint: primary, weight: fullWeight }];
    return [{ waypoint: primary, weight: fullWeight - canary.weight }, canary];
  }

  /** All that a Service names, also those that cannot be sent to yet: they get ready for it. */
  waypointsOfService(service: ServiceSubject, reader: CollectionReader): readonly Waypoint[] {
    const primary = this.ofService(service, reader);
    if (primary === undefined) return [];
    const canary = this.#canaryOf(service, primary, reader);
    return canary === undefined ? [primary] : [primary, canary.waypoint];
  }

  /** As upstream: what the namespace says holds for Services that have their waypoint from there too. */
  #canaryOf(service: ServiceSubject, primary: Waypoint, reader: CollectionReader): WaypointShare | undefined {
    const { namespace } = service;
    const inherited = service.labels[istioLabels.useWaypoint] === undefined ? reader.get(this.#inputs.namespaces, namespace) : undefined;
    const wanted = wantedWaypoint(service.labels, namespace, canaryLabels) ?? wantedWaypoint(inherited?.labels ?? {}, namespace, canaryLabels);
    const weight = weightOf(service.waypointCanaryWeight ?? inherited?.waypointCanaryWeight ?? "0");
    const waypoint = wanted === undefined ? undefined : this.#usable(wanted, service, "service", reader);
    return waypoint === undefined || weight === undefined || waypoint.key === primary.key ? undefined : { waypoint, weight };
  }

  ofPod(pod: PodFacts, reader: CollectionReader): Waypoint | undefined {
    if (isGatewayPod(pod)) return undefined;
    const said = this.#said(pod, "workload", reader);
    return said === undefined ? this.#ofAccount(pod.namespace, pod.serviceAccount, reader) : said.waypoint;
  }

  /** The own label `istio.io/use-waypoint` beats the namespace's; `none` means none, and is an answer too. */
  #said(subject: Subject, traffic: "service" | "workload", reader: CollectionReader): { readonly waypoint: Waypoint | undefined } | undefined {
    const wanted = wantedWaypoint(subject.labels, subject.namespace) ?? wantedWaypoint(reader.get(this.#inputs.namespaces, subject.namespace)?.labels ?? {}, subject.namespace);
    if (wanted === undefined) return undefined;
    return { waypoint: wanted.name === "none" ? undefined : this.#usable(wanted, subject, traffic, reader) };
  }

  /** Undefined where there is none of that name, or it does not take the subject. */
  #usable(wanted: WantedWaypoint, subject: Subject, traffic: "service" | "workload", reader: CollectionReader): Waypoint | undefined {
    const key = `${wanted.namespace}/${wanted.name}`;
    const waypoint = reader.get(this.#waypoints.all, key);
    const gateway = reader.get(this.#inputs.gateways, key);
    if (waypoint === undefined || gateway === undefined || (waypoint.takes !== traffic && waypoint.takes !== "all")) return undefined;
    return gateway.spec.listeners.some((listener) => allowsNamespace(listener, subject, gateway, this.#inputs, reader)) ? waypoint : undefined;
  }

  /** Of several Gateways for one account the oldest counts. */
  #ofAccount(namespace: string, account: string, reader: CollectionReader): Waypoint | undefined {
    const found = reader.lookup(this.#waypoints.byAccount, `${namespace}/${account}`);
    if (found.length < 2) return found[0];
    const gateways = found.flatMap((waypoint) => reader.get(this.#inputs.gateways, `${namespace}/${waypoint.gateway}`) ?? []).sort(byAge);
    return found.find((waypoint) => waypoint.gateway === gateways[0]?.name);
  }
}

interface WantedWaypoint {
  readonly namespace: string;
  readonly name: string;
}

const primaryLabels = { name: istioLabels.useWaypoint, namespace: istioLabels.useWaypointNamespace };
const canaryLabels = { name: istioLabels.useWaypointCanary, namespace: istioLabels.useWaypointCanaryNamespace };

function wantedWaypoint(labels: Labels, namespace: string, by: { readonly name: string; readonly namespace: string } = primaryLabels): WantedWaypoint | undefined {
  const name = labels[by.name];
  if (name === undefined || name === "") return undefined;
  return { name, namespace: labels[by.namespace] ?? namespace };
}

/** Gateways and waypoints are nobody's workloads. */
function isGatewayPod(pod: PodFacts): boolean {
  return pod.labels[istioLabels.gatewayManaged] !== undefined || pod.labels[istioLabels.gatewayName] !== undefined;
}

/** The name under which ztunnels know a waypoint: its Service's, or for one without a Service a name that stands for its pods. */
export function waypointHostname(waypoint: Pick<Waypoint, "name" | "namespace" | "className">, domain: string): string {
  const { name, namespace } = waypoint;
  return waypoint.className === meshClassName ? `${name}.${namespace}.mesh.internal` : `${name}.${namespace}.svc.${domain}`;
}

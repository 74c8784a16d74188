import { matchesLabels } from "../../api/index.ts";
import type { ObjectReference } from "../../api/serin/index.ts";
import { type Random, invariant } from "../../base/index.ts";
import { type OutcomeCounts, type SettleCondition, referenceKey } from "../decide/index.ts";
import {
  type RouteDestination,
  clusterSuffix,
  copyLabel,
  movedDestinations,
  reference,
  resolveHost,
} from "../plan/index.ts";
import { type Backend, chosenRule, weightedBackends } from "./canary-rules.ts";
import { type SimApp, objectsOf } from "./canary-shape.ts";
import { matchedHeader } from "./canary-spec.ts";
import { type Entrance, entrancesOf } from "./entrances.ts";
import { readyPodsOf } from "./mesh-in-world.ts";
import type { ModelObject } from "./model-object.ts";
import { type PodGroup, isApp, isCanaryApp, isSame, ownLabels, selectorOf } from "./pod-groups.ts";
import { routeKey, routingKinds } from "./routing-kinds.ts";
import { templateHash } from "./sim-canary.ts";
import type { TrafficCluster } from "./traffic-cluster.ts";

const requestsPerTick = 400;

/** The probability that the proxies learn of a change in one tick. */
const learnsPerTick = 0.5;

type Endpoints = Extract<SettleCondition, { type: "endpoints" }>;

interface Seen {
  readonly object: ModelObject;
  readonly version: number;
  readonly fields: ReadonlyMap<string, unknown>;
}

/** Requests of one kind, and the pods that get them. */
interface Flow {
  readonly what: string;
  readonly requests: number;
  /** The share of each backend, with the keys of its Deployments. */
  readonly shares: readonly { readonly share: number; readonly to: string; readonly pods: readonly string[] }[];
}

/**
 * The proxies of the model, which share one knowledge. They learn of routes and pods after a while, and send each
 * application's requests by the routes that they know.
 */
export class ModelTraffic {
  readonly counters = new Map<string, OutcomeCounts>();
  /** The applications that get no more requests. */
  readonly silent = new Set<string>();
  readonly unanswered = new Set<string>();
  /** The applications whose canary has lost its pods. */
  readonly lostPods = new Set<string>();
  /** The applications with requests that reached no pod in this tick, each with the reason. */
  readonly unserved = new Map<string, string>();
  /** Whether objects were restored from a backup and some proxies do not know all of them yet. */
  isStale = false;
  readonly #cluster: TrafficCluster;
  readonly #random: Random;
  readonly #apps: SimApp[] = [];
  readonly #seen = new Map<string, Seen>();
  readonly #known = new Map<string, PodGroup>();
  #wasUp = true;
  /** Rises when the proxies learn something, so that `#flows` are computed again. */
  #epoch = 0;
  readonly #flows = new Map<string, { readonly epoch: number; readonly flows: readonly Flow[] }>();

  constructor(cluster: TrafficCluster, random: Random) {
    this.#cluster = cluster;
    this.#random = random;
  }

  /** Adds an application. The proxies know its routes and pods at once. */
  add(app: SimApp): void {
    this.#apps.push(app);
    this.#learn(1);
  }

  tick(errorRateOf: (app: string) => number): void {
    if (this.#cluster.controlPlaneUp && !this.#wasUp) this.#forgetRoutes();
    this.#wasUp = this.#cluster.controlPlaneUp;
    if (this.#wasUp) this.#learn(learnsPerTick);
    if (this.isStale) this.isStale = !this.#knowsAll();
    this.unserved.clear();
    for (const app of this.#apps) this.#send(app, errorRateOf(app.name));
  }

  /**
   * A control plane that starts again sends each proxy everything that has changed. So a proxy never learns of changed
   * pods without learning that the route to them was deleted.
   */
  #forgetRoutes(): void {
    for (const key of this.#seen.keys())
      if (routeKey.test(key) && !this.#cluster.objects.has(key)) this.#seen.delete(key);
    this.#epoch += 1;
  }

  #knowsAll(): boolean {
    const { objects, controlPlaneUp } = this.#cluster;
    const isKnown = ([key, object]: readonly [string, ModelObject]): boolean => {
      const seen = this.#seen.get(key);
      if (routingKinds.has(object.reference.kind)) return seen?.object === object && seen.version === object.version;
      return (
        !isApp(object.reference) ||
        (object.readyAtMs <= this.#cluster.nowMs && isSame(this.#known.get(key), this.#groupOf(object)))
      );
    };
    const hasGone = [...this.#seen.keys(), ...this.#known.keys()].some((key) => !objects.has(key));
    return controlPlaneUp && !hasGone && [...objects].every(isKnown);
  }

  #learn(rate: number): void {
    const { objects } = this.#cluster;
    for (const [key, object] of objects) {
      if (routingKinds.has(object.reference.kind)) {
        const seen = this.#seen.get(key);
        if ((seen?.object === object && seen.version === object.version) || this.#random() >= rate) continue;
        this.#seen.set(key, { object, version: object.version, fields: new Map(object.fields) });
        this.#epoch += 1;
      } else if (isApp(object.reference)) {
        const group = this.#groupOf(object);
        if (isSame(this.#known.get(key), group) || this.#random() >= rate) continue;
        this.#known.set(key, group);
        this.#epoch += 1;
      }
    }
    for (const known of [this.#seen, this.#known])
      for (const key of known.keys()) {
        if (objects.has(key) || this.#random() >= rate) continue;
        known.delete(key);
        this.#epoch += 1;
      }
  }

  #groupOf(object: ModelObject): PodGroup {
    const { reference: of } = object;
    const { metadata } = (object.running ?? {}) as { metadata?: { labels?: Readonly<Record<string, string>> } };
    const isCanary = isCanaryApp(of);
    return {
      namespace: of.namespace ?? "",
      labels: { ...metadata?.labels, "pod-template-hash": templateHash(object.running) },
      ready: this.hasLost(of) ? 0 : readyPodsOf(this.#cluster, object),
      isCanary,
    };
  }

  hasLost(deployment: ObjectReference): boolean {
    if (this.lostPods.size === 0 || !isCanaryApp(deployment)) return false;
    return deployment.name.split("-").some((part) => this.lostPods.has(part));
  }

  #send(app: SimApp, errorRate: number): void {
    if (this.silent.has(app.name)) return;
    for (const { what, requests, shares } of this.#flowsOf(app)) {
      for (const { share, to, pods } of shares) {
        const groups = pods.flatMap((key) => {
          const object = this.#cluster.objects.get(key);
          const isKnown = (this.#known.get(key)?.ready ?? 0) > 0;
          const group = object === undefined || !isKnown ? undefined : this.#groupOf(object);
          return group === undefined || group.ready === 0 ? [] : [group];
        });
        const ready = groups.reduce((sum, group) => sum + group.ready, 0);
        // Proxies answer requests to a version without pods themselves, and count them for neither version.
        if (ready === 0) this.unserved.set(app.name, `${what} to ${to}: ${Math.round(share * 100)} % reach no pod`);
        for (const group of groups)
          this.#count(app.name, group.isCanary, (requests * share * group.ready) / ready, errorRate);
      }
    }
  }

  #count(app: string, isCanary: boolean, requests: number, errorRate: number): void {
    const before = this.countersOf(app);
    const total = Math.round(requests);
    const errors = !isCanary || errorRate === 0 ? 0 : Math.round(total * errorRate * (0.8 + 0.4 * this.#random()));
    this.counters.set(
      app,
      isCanary
        ? { ...before, canaryTotal: before.canaryTotal + total, canaryErrors: before.canaryErrors + errors }
        : { ...before, stableTotal: before.stableTotal + total },
    );
  }

  countersOf(app: string): OutcomeCounts {
    return this.counters.get(app) ?? { canaryTotal: 0, canaryErrors: 0, stableTotal: 0, stableErrors: 0 };
  }

  /**
   * The percentage of an application's requests without the header that its canary gets. Undefined if no route sends
   * them.
   */
  canaryShare(app: SimApp): number | undefined {
    const [main] = this.#flowsOf(app);
    return main === undefined ? undefined : this.#shareOf(main);
  }

  /** The percentage that the canary will get when the proxies know the present routes. */
  dueShare(app: SimApp): number | undefined {
    const { objects } = this.#cluster;
    const [main] = entrancesOf(app).flatMap((entrance) => this.#flowOf(app, entrance, objects) ?? []);
    return main === undefined ? undefined : this.#shareOf(main);
  }

  #shareOf(flow: Flow): number {
    const toCanary = flow.shares.filter(({ pods }) => pods.some((key) => this.#known.get(key)?.isCanary === true));
    return Math.round(toCanary.reduce((sum, { share }) => sum + share, 0) * 100);
  }

  #flowsOf(app: SimApp): readonly Flow[] {
    const kept = this.#flows.get(app.name);
    if (kept?.epoch === this.#epoch) return kept.flows;
    const flows = entrancesOf(app).flatMap((entrance) => this.#flowOf(app, entrance, this.#seen) ?? []);
    this.#flows.set(app.name, { epoch: this.#epoch, flows });
    return flows;
  }

  #flowOf(
    app: SimApp,
    { names, service, request }: Entrance,
    routes: ReadonlyMap<string, Pick<Seen, "fields">>,
  ): Flow | undefined {
    const { namespace } = app;
    const { route } = objectsOf(app);
    const what = `requests of ${app.name} on port ${request.port}${request.matched ? ` with ${matchedHeader.name}` : ""}`;
    const requests = request.matched ? requestsPerTick / 10 : requestsPerTick;
    for (const name of names) {
      const found = routes.get(referenceKey({ ...route, name }));
      const rule = found === undefined ? undefined : chosenRule(route.kind, found.fields, request);
      if (rule === undefined) continue;
      const backends = weightedBackends(route.kind, rule);
      const sum = backends.reduce((total, { weight }) => total + weight, 0);
      invariant(sum > 0, `${what} have no backend with a weight`);
      const shares = backends
        .filter(({ weight }) => weight > 0)
        .map(({ backend, weight }) => ({
          share: weight / sum,
          to: `${backend.host}${backend.subset === undefined ? "" : ` subset ${backend.subset}`}`,
          pods: this.#podsBehind(backend, route),
        }));
      return { what, requests, shares };
    }
    if (service === undefined) return undefined;
    return { what, requests, shares: [{ share: 1, to: service, pods: this.#podsOf(namespace, service, {}) }] };
  }

  /** The keys of the Deployments behind a route's backend, as far as the proxies know them. */
  #podsBehind({ host, namespace, subset }: Backend, route: ObjectReference): readonly string[] {
    const home = route.namespace ?? "";
    if (route.kind !== "VirtualService") {
      const at = namespace ?? home;
      return at === home || this.#isGranted(route, at, host) ? this.#podsOf(at, host, {}) : [];
    }
    const full = resolveHost(host, home);
    const [service = "", at = ""] = full.split(".");
    if (!full.endsWith(clusterSuffix)) return [];
    if (subset === undefined) return this.#podsOf(at, service, {});
    const labels = this.#subsetLabels(full, subset);
    return labels === undefined ? [] : this.#podsOf(at, service, labels);
  }

  #subsetLabels(host: string, subset: string): Readonly<Record<string, string>> | undefined {
    for (const { object, fields } of this.#seen.values()) {
      const { kind, namespace = "" } = object.reference;
      if (kind !== "DestinationRule" || resolveHost(String(fields.get("/spec/host")), namespace) !== host) continue;
      const subsets = (fields.get("/spec/subsets") ?? []) as readonly {
        readonly name: string;
        readonly labels: Readonly<Record<string, string>>;
      }[];
      return subsets.find(({ name }) => name === subset)?.labels;
    }
    return undefined;
  }

  #isGranted(route: ObjectReference, at: string, service: string): boolean {
    return [...this.#seen.values()].some(({ object, fields }) => {
      if (object.reference.kind !== "ReferenceGrant" || object.reference.namespace !== at) return false;
      const from = (fields.get("/spec/from") ?? []) as readonly { kind: string; namespace: string }[];
      const to = (fields.get("/spec/to") ?? []) as readonly { name?: string }[];
      return (
        from.some(({ kind, namespace }) => kind === route.kind && namespace === route.namespace) &&
        to.some(({ name }) => name === undefined || name === service)
      );
    });
  }

  #podsOf(namespace: string, service: string, labels: Readonly<Record<string, string>>): readonly string[] {
    const seen = this.#seen.get(referenceKey(reference("v1", "Service", service, namespace)));
    if (seen === undefined) return [];
    const wanted = { ...selectorOf(seen.fields), ...labels };
    return [...this.#known].flatMap(([key, group]) =>
      group.namespace === namespace && matchesLabels(wanted, group.labels) ? [key] : [],
    );
  }

  /** Whether proxies use objects of this kind and namespace. */
  tracks({ kind, namespace }: ObjectReference): boolean {
    return routingKinds.has(kind) && namespace !== "serin-probes";
  }

  /** Why some proxy does not use the object's present state. Undefined if all proxies use it. */
  notAcknowledged(object: ObjectReference): string | undefined {
    if (!this.#cluster.controlPlaneUp) return "no control plane is ready";
    const found = this.#cluster.find(object);
    const seen = this.#seen.get(referenceKey(object));
    return found?.version === seen?.version && found === seen?.object ? undefined : "not acknowledged yet";
  }

  /**
   * Why proxies may still use a deleted object. Undefined without a control plane, because proxies then also keep the
   * destinations of the object.
   */
  notForgotten(object: ObjectReference): string | undefined {
    const isKept = this.#cluster.controlPlaneUp && this.#seen.has(referenceKey(object));
    return isKept ? "it is deleted, and proxies may still use it" : undefined;
  }

  /** Why a route must stay: proxies still know pods of a copy, which would get requests without the route. */
  copyBehind({ name, namespace }: ObjectReference): string | undefined {
    const [app] = name.split("-");
    const isCopy = ({ labels, namespace: home }: PodGroup): boolean =>
      home === namespace && labels["app"] === app && labels[copyLabel] !== undefined;
    const isKnown = this.#cluster.controlPlaneUp && [...this.#known.values()].some(isCopy);
    return isKnown ? "pods of a copy have not left yet" : undefined;
  }

  /** Why the proxies do not know enough pods as endpoints of a Service. Undefined if they do. */
  endpointsMissing(condition: Endpoints): string | undefined {
    const lacked = this.#lackedEndpoints(condition);
    if (lacked !== undefined) return lacked;
    if (!this.#cluster.controlPlaneUp) return "no control plane is ready";
    // The endpoints of a Service change with its selector.
    const isServiceKnown = this.notAcknowledged(condition.service) === undefined;
    const own = this.#selected(condition);
    const areKnown = own.every(({ key, group }) => isSame(this.#known.get(key), group));
    return isServiceKnown && areKnown ? undefined : "not acknowledged yet";
  }

  #lackedEndpoints(condition: Endpoints): string | undefined {
    const { service, atLeast } = condition;
    const ready = this.#selected(condition).reduce((sum, { group }) => sum + group.ready, 0);
    return ready < atLeast ? `Service ${service.name}: ${ready} of ${atLeast} pods are endpoints` : undefined;
  }

  #selected({ service, labels }: Endpoints): readonly { readonly key: string; readonly group: PodGroup }[] {
    const selector = selectorOf(this.#cluster.find(service)?.fields ?? new Map());
    return [...this.#cluster.objects].flatMap(([key, object]) => {
      if (!isApp(object.reference) || object.reference.namespace !== service.namespace) return [];
      const group = this.#groupOf(object);
      return matchesLabels({ ...selector, ...labels }, group.labels) ? [{ key, group }] : [];
    });
  }

  /** Why the version with these labels does not serve. Undefined if it serves, or if no Deployment makes such pods. */
  notServing({ namespace, labels }: Extract<SettleCondition, { type: "versionServes" }>): string | undefined {
    const groups = [...this.#cluster.objects.values()].flatMap((object) => {
      if (!isApp(object.reference) || object.reference.namespace !== namespace) return [];
      const group = this.#groupOf(object);
      return matchesLabels(labels, group.labels) ? [group] : [];
    });
    return groups.length === 0 || groups.some(({ ready }) => ready > 0) ? undefined : "the canary has no ready pod";
  }

  /** Models `notServedYet` of the observer. */
  notServedYet(
    route: ObjectReference,
    { before, after }: { readonly before: unknown; readonly after: unknown },
    withoutProxies = false,
  ): string | undefined {
    const { gaining, former } = movedDestinations(route, before, after);
    const missing = gaining
      .map((to) => this.#missingAt(to, withoutProxies || !to.isNew))
      .find((reason) => reason !== undefined);
    return former.some((from) => this.#missingAt(from, true) === undefined) ? missing : undefined;
  }

  #missingAt({ namespace, service, subset }: RouteDestination, withoutProxies: boolean): string | undefined {
    const found = this.#cluster.find(reference("v1", "Service", service, namespace));
    const full = `${service}.${namespace}.${clusterSuffix}`;
    const labels = subset === undefined ? {} : this.#subsetLabels(full, subset);
    if (found === undefined) return undefined;
    if (labels === undefined) return `no DestinationRule for ${full} has the subset ${subset ?? ""}`;
    const condition = { type: "endpoints", service: found.reference, labels, atLeast: 1 } as const;
    const missing = withoutProxies ? this.#lackedEndpoints(condition) : this.endpointsMissing(condition);
    return missing === undefined ? undefined : `Service ${namespace}/${service} has no ready pod: ${missing}`;
  }

  /**
   * Why requests cannot return to a Deployment yet: it has too few pods, or the proxies do not know them. Undefined if
   * they can.
   */
  notReached(deployment: ObjectReference): string | undefined {
    const found = this.#cluster.find(deployment);
    if (found === undefined) return undefined;
    const group = this.#groupOf(found);
    const atLeast = Number(found.fields.get("/spec/replicas") ?? 1);
    for (const { reference: service, fields } of this.#cluster.objects.values()) {
      if (service.kind !== "Service" || service.namespace !== deployment.namespace) continue;
      if (!matchesLabels(selectorOf(fields), group.labels)) continue;
      const missing = this.endpointsMissing({ type: "endpoints", service, labels: ownLabels(group), atLeast });
      if (missing !== undefined) return missing;
    }
    return undefined;
  }
}

// A whole control plane in memory, and of its victims' proxies the part that accepts configuration.
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { keyOf, type KubernetesObject } from "../../src/api/index.ts";
import { createLogger } from "../../src/base/index.ts";
import { HandClock } from "../../src/base/testing/index.ts";
import { configMapFacts } from "../../src/controlplane/ingest/config-map-ingest.ts";
import { createFeeds } from "../../src/controlplane/ingest/feeds.ts";
import { secretFacts } from "../../src/controlplane/ingest/secret-facts.ts";
import { meshKey } from "../../src/controlplane/model/facts.ts";
import { ServedMesh } from "../../src/controlplane/served-mesh.ts";
import type { EncodedResource } from "../../src/controlplane/translate/index.ts";
import { testMultiClusterKinds } from "../../src/controlplane/testing/model-fixture.ts";
import { aloneConfig } from "../../src/proxy/testing/alone-config.ts";
import type { ListenerSet } from "../../src/proxy/listener-set.ts";
import { MetricsRegistry } from "../../src/telemetry/index.ts";
import { DeltaDiscoveryRequestSchema } from "../../src/wire/discovery/index.ts";
import { localClusterName, typeUrls } from "../../src/wire/xds/index.ts";
import { addressFaults } from "./envoy-addresses.ts";
import { secretNames } from "./attacker-secrets.ts";
import { formatFaults } from "./envoy-formats.ts";
import { secretFaults } from "./envoy-secrets.ts";
import { victimProxies, victimSettings, type VictimProxy } from "./victim-mesh.ts";

/** In the order in which a proxy gets them. */
export const proxyTypes = {
  cluster: typeUrls.cluster,
  endpoint: typeUrls.endpoint,
  listener: typeUrls.listener,
  route: typeUrls.route,
  extension: typeUrls.extensionConfig,
} as const;
/** The types that are compared. The table of names is what a sidecar answers to DNS. */
const comparedTypes = { ...proxyTypes, names: typeUrls.nameTable, secret: typeUrls.secret } as const;
export type ProxyType = keyof typeof proxyTypes;
/** The names under which gateways request secrets and roots. */
const requestedSecrets = secretNames.flatMap((name) => [
  `kubernetes://${name}`,
  ...["edge", "evil", "evil-ambient"].flatMap((namespace) => [
    `kubernetes-gateway://${namespace}/${name}`,
    `configmap://${namespace}/${name}-cacert`,
  ]),
]);

/** All that others see, by its place: `shop cluster outbound|80||web…`, `ambient address …`, `status route …`. */
export type Snapshot = ReadonlyMap<string, { readonly version: string; readonly resource?: EncodedResource }>;

/** A proxy that compiles what it gets, and opens no sockets. */
class AcceptingProxy {
  readonly #parts = aloneConfig({ clock: new HandClock(), random: () => 0.5 });

  constructor() {
    const listeners = {
      set: () => undefined,
      routeNames: () => new Set(),
      leavingRouteNames: () => new Set(),
      servingChains: [],
      tlsSpecs: () => [],
      discoveries: () => [],
      pending: () => [],
      proceed: () => undefined,
      remove: () => undefined,
    };
    this.#parts.config.attach(listeners as unknown as ListenerSet);
  }

  /** Returns why the proxy refuses the resources. */
  async accept(type: ProxyType, resources: readonly EncodedResource[], removed: readonly string[]): Promise<string[]> {
    try {
      await this.#parts.apply({
        typeUrl: proxyTypes[type],
        resources: resources.map(({ name, version, any }) => ({
          name,
          version,
          aliases: [],
          typeUrl: proxyTypes[type],
          body: fromBinary(AnySchema, any).value,
        })),
        removed: [...removed],
      });
      return [];
    } catch (error) {
      return [error instanceof Error ? error.message : String(error)];
    }
  }
}

export class AttackedMesh {
  readonly #logged: string[] = [];
  readonly #mesh: ServedMesh;
  readonly #feeds: ReturnType<typeof createFeeds>;
  readonly #views: ReadonlyMap<string, (type: keyof typeof comparedTypes) => Iterable<EncodedResource>>;
  readonly #accepting = new Map(Object.keys(victimProxies).map((name) => [name, new AcceptingProxy()] as const));
  readonly #applied = new Map<string, string>();

  constructor(...ground: readonly KubernetesObject[]) {
    const log = createLogger({ scope: "test", level: "warn", write: (line) => void this.#logged.push(line) });
    this.#mesh = new ServedMesh({
      maxTurnMs: Number.POSITIVE_INFINITY,
      revision: "default",
      metrics: new MetricsRegistry(),
      clock: new HandClock(),
      log,
      settled: () => undefined,
    });
    this.#feeds = createFeeds(
      this.#mesh.inputs,
      "default",
      (object, issues) =>
        this.#logged.push(
          `refused ${keyOf(object)}: ${issues.map(({ path, message }) => `${path}: ${message}`).join("; ")}`,
        ),
      { kinds: testMultiClusterKinds, warned: () => undefined },
    );
    this.#mesh.inputs.mesh.set(meshKey, victimSettings);
    this.apply(...ground);
    this.#views = new Map(Object.entries(victimProxies).map(([name, proxy]) => [name, this.#connect(proxy)] as const));
  }

  apply(...objects: readonly KubernetesObject[]): void {
    this.#each(objects, true);
  }

  remove(...objects: readonly KubernetesObject[]): void {
    this.#each(objects, false);
  }

  /** Returns what was logged since the last call: errors, and warnings about others' objects. */
  takeLogged(): readonly string[] {
    return this.#logged.splice(0).filter((line) => !/\twarn\t.*\bobject=evil/.test(line));
  }

  #each(objects: readonly KubernetesObject[], isThere: boolean): void {
    this.#mesh.graph.batch(() => {
      for (const object of objects) {
        this.#refer(object, isThere);
        const group = object.apiVersion?.includes("/") === true ? object.apiVersion.split("/")[0] : undefined;
        const feed = this.#feeds.find(
          ({ kind }) => kind.kind === object.kind && (group === undefined || kind.group === group),
        );
        feed?.take(keyOf(object), isThere ? object : undefined);
      }
    });
    this.#mesh.graph.settle();
    this.#mesh.discovery.flush();
  }

  /** Adds or removes a Secret or ConfigMap. The control plane reads these only if another object names them. */
  #refer(object: KubernetesObject, isThere: boolean): void {
    const { secrets, configMaps } = this.#mesh.inputs;
    const key = keyOf(object);
    if (object.kind === "Secret") {
      if (isThere) secrets.set(key, secretFacts(object));
      else secrets.delete(key);
    } else if (object.kind === "ConfigMap") {
      if (isThere) configMaps.set(key, configMapFacts(object));
      else configMaps.delete(key);
    }
  }

  #connect({ type, pod, address }: VictimProxy): (type: keyof typeof comparedTypes) => Iterable<EncodedResource> {
    const [namespace = "", name = ""] = pod.split("/");
    const labels = this.#mesh.inputs.pods.get(pod)?.labels ?? {};
    const node = {
      id: `${type}~${address}~${name}.${namespace}~${namespace}.svc.cluster.local`,
      userAgentName: "serin",
      metadata: {
        ISTIO_VERSION: "1.31.0",
        NAMESPACE: namespace,
        LABELS: { ...labels },
        EXTENSION_CONFIG_DISCOVERY: "true",
        ...(type === "sidecar" ? { DNS_CAPTURE: "true" } : {}),
      },
    };
    const client = this.#mesh.discovery.connect("delta", { write: () => true }, () => true);
    for (const [kind, typeUrl] of Object.entries(comparedTypes).filter(([one]) => one !== "secret"))
      client.receive(
        toBinary(
          DeltaDiscoveryRequestSchema,
          create(DeltaDiscoveryRequestSchema, {
            node,
            typeUrl,
            resourceNamesSubscribe: [kind === "endpoint" ? localClusterName : "*"],
          }),
        ),
      );
    client.receive(
      toBinary(
        DeltaDiscoveryRequestSchema,
        create(DeltaDiscoveryRequestSchema, {
          node,
          typeUrl: typeUrls.secret,
          resourceNamesSubscribe: requestedSecrets,
        }),
      ),
    );
    const stream = [...this.#mesh.discovery.streams].at(-1);
    return (kind) => {
      const view = stream?.subscriptions.get(comparedTypes[kind])?.view;
      return kind === "secret" ? requestedSecrets.flatMap((one) => view?.get(one) ?? []) : (view?.all() ?? []);
    };
  }

  snapshot(): Snapshot {
    const found = new Map<string, { readonly version: string; readonly resource?: EncodedResource }>();
    for (const [name, view] of this.#views)
      for (const type of Object.keys(comparedTypes) as (keyof typeof comparedTypes)[])
        for (const resource of view(type))
          found.set(`${name} ${type} ${resource.name}`, { version: resource.version, resource });
    const { addresses, authorizations } = this.#mesh.ambient();
    for (const [type, collections] of Object.entries({ address: addresses, authorization: authorizations }))
      for (const collection of collections)
        for (const resource of collection.values())
          found.set(`ambient ${type} ${resource.name}`, { version: resource.version, resource });
    const { ambientStatuses, routeStatuses, ...others } = this.#mesh.wanted;
    const statuses = {
      ...others,
      ...ambientStatuses,
      ...Object.fromEntries(routeStatuses.map(({ kind, statuses: ofKind }) => [kind, ofKind])),
    };
    for (const [kind, collection] of Object.entries(statuses))
      for (const [key, status] of collection.entries())
        found.set(`status ${kind} ${key}`, { version: JSON.stringify(status) });
    return found;
  }

  /**
   * Gives the victims' proxies the changes since the last call. Returns what they refuse, and what Envoys in their
   * place would.
   */
  async refusals(snapshot: Snapshot): Promise<string[]> {
    const refused = [...snapshot].flatMap(([place, { resource }]) =>
      / secret /.test(place) && resource !== undefined
        ? secretFaults(resource).map((fault) => `an Envoy refuses ${place}: ${fault}`)
        : [],
    );
    for (const [name, proxy] of this.#accepting)
      for (const type of Object.keys(proxyTypes) as ProxyType[]) {
        const prefix = `${name} ${type} `;
        const changed: EncodedResource[] = [];
        for (const [place, { version, resource }] of snapshot)
          if (place.startsWith(prefix) && resource !== undefined && this.#applied.get(place) !== version) {
            changed.push(resource);
            this.#applied.set(place, version);
          }
        const gone = [...this.#applied.keys()].filter((place) => place.startsWith(prefix) && !snapshot.has(place));
        for (const place of gone) this.#applied.delete(place);
        const faults = await proxy.accept(
          type,
          changed,
          gone.map((place) => place.slice(prefix.length)),
        );
        refused.push(...faults.map((fault) => `${name} refuses ${type}: ${fault}`));
        const asEnvoy = type === "endpoint" ? addressFaults : (one: EncodedResource) => formatFaults(type, one);
        refused.push(...changed.flatMap(asEnvoy).map((fault) => `an Envoy as ${name} refuses ${type}: ${fault}`));
      }
    return refused;
  }
}

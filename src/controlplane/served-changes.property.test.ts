import assert from "node:assert/strict";
import { test } from "node:test";
import { create, fromBinary, toBinary, type JsonObject } from "@bufbuild/protobuf";
import * as fc from "fast-check";
import { DeltaDiscoveryRequestSchema, DeltaDiscoveryResponseSchema } from "../wire/discovery/index.ts";
import { localClusterName, typeUrls } from "../wire/xds/index.ts";
import type { ServedMesh } from "./served-mesh.ts";
import {
  always,
  endpoints,
  hash,
  objects,
  PresentObjects,
  sidecarPod,
  webPort,
  type ObjectChange,
} from "./testing/changing-mesh.ts";
import { service } from "./testing/model-fixture.ts";
import { createServedFixture } from "./testing/served-fixture.ts";

interface ClientNode {
  readonly id: string;
  readonly metadata: JsonObject;
}

const sidecar: ClientNode = {
  id: "sidecar~10.0.0.1~web-1.shop~shop.svc.cluster.local",
  metadata: {
    NAMESPACE: "shop",
    LABELS: { app: "web", "service.istio.io/workload-name": "web", ...hash },
    ENABLE_SELF_DISCOVERY: "true",
  },
};
const gateway: ClientNode = {
  id: "router~10.0.0.7~gateway-1.north~north.svc.cluster.local",
  metadata: { NAMESPACE: "north", LABELS: { istio: "ingressgateway" } },
};

/** A client of delta discovery. It asks for the endpoints of its clusters, as our proxy and Envoy do. */
class DeltaClient {
  readonly resources = new Map<string, Map<string, string>>(
    [typeUrls.cluster, typeUrls.endpoint, typeUrls.listener].map((typeUrl) => [typeUrl, new Map()]),
  );
  readonly #mesh: ServedMesh;
  readonly #node: ClientNode;
  readonly #pending: { readonly typeUrl: string; readonly nonce: string }[] = [];
  readonly #endpoints = new Set<string>();
  #client: ReturnType<ServedMesh["discovery"]["connect"]> | undefined;
  readonly #asked = new Set<string>();

  constructor(mesh: ServedMesh, node = sidecar) {
    this.#mesh = mesh;
    this.#node = node;
    this.connect();
  }

  connect(): void {
    this.#client?.close();
    this.#pending.length = 0;
    this.#endpoints.clear();
    this.#asked.clear();
    this.#client = this.#mesh.discovery.connect("delta", { write: (parts) => this.#take(parts) }, () => true);
    for (const typeUrl of [typeUrls.cluster, typeUrls.listener]) this.#ask(typeUrl, ["*"]);
    this.#followEndpoints();
  }

  close(): void {
    this.#client?.close();
  }

  /** Acknowledges the oldest response. Returns false if there is none. */
  acknowledge(): boolean {
    const oldest = this.#pending.shift();
    if (oldest === undefined) return false;
    this.#send({ typeUrl: oldest.typeUrl, responseNonce: oldest.nonce });
    this.#followEndpoints();
    return true;
  }

  #followEndpoints(): void {
    const clusters = [...this.of(typeUrls.cluster).keys()].filter((name) => name.startsWith("outbound|"));
    const wanted = new Set([localClusterName, ...clusters]);
    const added = [...wanted].filter((name) => !this.#endpoints.has(name));
    const gone = [...this.#endpoints].filter((name) => !wanted.has(name));
    for (const name of added) this.#endpoints.add(name);
    for (const name of gone) this.#endpoints.delete(name);
    if (added.length > 0 || gone.length > 0) this.#ask(typeUrls.endpoint, added, gone);
    for (const name of this.of(typeUrls.endpoint).keys())
      if (!wanted.has(name)) this.of(typeUrls.endpoint).delete(name);
  }

  of(typeUrl: string): Map<string, string> {
    return this.resources.get(typeUrl) ?? new Map();
  }

  /** Names the versions that it has in the first request of a stream. */
  #ask(typeUrl: string, names: readonly string[], gone: readonly string[] = []): void {
    const isFirst = !this.#asked.has(typeUrl);
    this.#asked.add(typeUrl);
    const known = isFirst ? Object.fromEntries(this.of(typeUrl)) : {};
    this.#send({
      typeUrl,
      resourceNamesSubscribe: [...names],
      resourceNamesUnsubscribe: [...gone],
      initialResourceVersions: known,
    });
  }

  #send(request: {
    readonly typeUrl: string;
    readonly responseNonce?: string;
    readonly resourceNamesSubscribe?: string[];
    readonly resourceNamesUnsubscribe?: string[];
    readonly initialResourceVersions?: Record<string, string>;
  }): void {
    const message = create(DeltaDiscoveryRequestSchema, { ...request, node: this.#node });
    this.#client?.receive(toBinary(DeltaDiscoveryRequestSchema, message));
  }

  #take(parts: readonly Buffer[]): boolean {
    const { typeUrl, nonce, resources, removedResources } = fromBinary(
      DeltaDiscoveryResponseSchema,
      Buffer.concat(parts),
    );
    const own = this.of(typeUrl);
    for (const { name, version } of resources) own.set(name, version);
    for (const name of removedResources) own.delete(name);
    this.#pending.push({ typeUrl, nonce });
    return true;
  }
}

const change = fc.record({ object: fc.nat(objects.length - 1), version: fc.integer({ min: -1, max: 2 }) });
const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      what: fc.constant("change" as const),
      changes: fc.array(change, { minLength: 1, maxLength: 5 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ what: fc.constant("acknowledge" as const), responses: fc.nat(4) }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant("reconnect" as const) }) },
);

test("a sidecar and a gateway of another namespace have the resources of a new mesh, whatever changes at once, disconnects or comes back", () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(3), { minLength: objects.length, maxLength: objects.length }),
      fc.array(step, { maxLength: 12 }),
      (initial, steps) => {
        const present = new PresentObjects();
        const fixture = createServedFixture();
        const apply = (changes: readonly ObjectChange[]): void => present.change(changes, fixture.change);
        fixture.change(always);
        apply(initial.map((version, object) => ({ object, version: version - 1 })));
        const clients = [sidecar, gateway].map((node) => new DeltaClient(fixture.mesh, node));
        for (const one of steps) {
          if (one.what === "change") apply(one.changes);
          else
            for (const client of clients) {
              if (one.what === "reconnect") client.connect();
              else for (let index = 0; index < one.responses; index += 1) client.acknowledge();
            }
        }
        const scratch = createServedFixture();
        scratch.change(present.all());
        for (const [index, client] of clients.entries()) {
          while (client.acknowledge());
          const fresh = new DeltaClient(scratch.mesh, [sidecar, gateway][index]);
          while (fresh.acknowledge());
          for (const typeUrl of client.resources.keys())
            assert.deepEqual(sorted(client.of(typeUrl)), sorted(fresh.of(typeUrl)), typeUrl);
          assert.equal(client.of(typeUrls.endpoint).has(localClusterName), index === 0);
          client.close();
          fresh.close();
        }
      },
    ),
    { numRuns: 60 },
  );
});

function sorted(resources: ReadonlyMap<string, string>): readonly (readonly [string, string])[] {
  return [...resources].toSorted(([left], [right]) => (left < right ? -1 : 1));
}

test("a cluster that goes before the client has acknowledged it is removed as soon as the client answers", () => {
  const { mesh, change } = createServedFixture();
  const web = service("shop/web", "10.96.0.5", { app: "web" }, [webPort]);
  change([...always, sidecarPod("web-1", "10.0.0.1", "node-1"), endpoints("10.0.0.1")]);
  const client = new DeltaClient(mesh);
  client.acknowledge();
  change([web]);
  change([], [web]);
  while (client.acknowledge());
  assert.ok(!client.of(typeUrls.cluster).has("outbound|80||web.shop.svc.cluster.local"));
  client.close();
});

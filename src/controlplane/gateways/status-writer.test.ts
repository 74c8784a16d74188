import assert from "node:assert/strict";
import { after, test } from "node:test";
import { silentLogger, systemClock } from "../../base/index.ts";
import { until } from "../../base/testing/index.ts";
import { FakeKubeClient } from "../testing/fake-kube-client.ts";
import type { KindDefinition, KubernetesObject } from "../../api/index.ts";
import {
  backendTlsPolicyKind,
  gatewayClassKind,
  gatewayKind,
  httpRouteKind,
  listenerSetKind,
} from "../../api/gateway/index.ts";
import { ingressKind } from "../../api/kubernetes/index.ts";
import { CollectionGraph } from "../../kube/index.ts";
import type {
  WantedGatewayStatus,
  WantedIngressStatus,
  WantedListenerSetStatus,
  WantedPolicyStatus,
  WantedRouteStatus,
} from "../model/index.ts";
import { fieldManager } from "./patch-status.ts";
import { runStatusWriter } from "./status-writer.ts";

const stopped = new AbortController();
const running: Promise<void>[] = [];
after(async () => {
  stopped.abort();
  await Promise.all(running);
});

function writing(
  prepare: (client: FakeKubeClient) => void,
  {
    client = new FakeKubeClient(),
    includes = () => true,
  }: { readonly client?: FakeKubeClient; readonly includes?: (namespace: string) => boolean } = {},
) {
  prepare(client);
  const graph = new CollectionGraph();
  const ingresses = graph.source<WantedIngressStatus>("ingresses");
  const gateways = graph.source<WantedGatewayStatus>("gateways");
  const listenerSets = graph.source<WantedListenerSetStatus>("listener-sets");
  const statuses = graph.source<WantedRouteStatus>("routes");
  const policies = graph.source<WantedPolicyStatus>("policies");
  running.push(
    runStatusWriter(
      {
        client,
        gateways,
        listenerSets,
        policies,
        routes: [{ kind: "HTTPRoute", statuses }],
        ingresses,
        includes,
        clock: systemClock,
        log: silentLogger,
      },
      stopped.signal,
    ),
  );
  return { client, graph, ingresses, gateways, listenerSets, policies, statuses };
}

test("an Ingress gets the addresses of the ingress gateway in its status, and new ones when they change", async () => {
  const { client, graph, ingresses } = writing((cluster) =>
    cluster.put(ingressKind, { metadata: { namespace: "shop", name: "web" } }),
  );
  for (const ip of ["172.18.255.1", "172.18.255.2"]) {
    graph.batch(() => ingresses.set("shop/web", { namespace: "shop", name: "web", uid: "", addresses: [{ ip }] }));
    await until(
      async () => (await client.get(ingressKind, "web", "shop"))?.status?.loadBalancer?.ingress?.[0]?.ip === ip,
    );
  }
});

const [ours, theirs] = ["istio.io/gateway-controller", "example.com/other"];
const entry = (controllerName: string, name: string) => ({ parentRef: { name }, controllerName, conditions: [] });
const routeOf = (parents: readonly object[], ...names: readonly string[]): KubernetesObject =>
  ({
    metadata: { namespace: "shop", name: "web" },
    spec: { parentRefs: names.map((name) => ({ name })), rules: [] },
    status: { parents },
  }) as unknown as KubernetesObject;
const gatewayOf = (name: string, gatewayClassName: string, more: object = {}): KubernetesObject =>
  ({ metadata: { namespace: "shop", name }, spec: { gatewayClassName, listeners: [] }, ...more }) as KubernetesObject;
const wanted = (...parents: readonly (readonly [name: string, owned: boolean])[]): WantedRouteStatus => ({
  uid: "",
  parents: parents.map(([name, owned]) => ({
    owned,
    status: { parentRef: { name } as never, controllerName: ours, conditions: [] },
  })),
});
const entriesOf = async (client: FakeKubeClient): Promise<readonly string[]> =>
  ((await client.get(httpRouteKind, "web", "shop"))?.status?.parents ?? []).map(
    ({ controllerName, parentRef }) => `${controllerName === ours ? "ours" : "theirs"} ${parentRef.name}`,
  );

test("the entries of a route's parents that are ours no more are removed, and those of other controllers stay", async () => {
  const { client, graph, statuses } = writing((cluster) => {
    cluster.put(gatewayKind, gatewayOf("edge", "istio"));
    cluster.put(httpRouteKind, routeOf([entry(theirs, "other")], "edge", "other"));
  });
  graph.batch(() => statuses.set("shop/web", wanted(["edge", true])));
  await until(async () => (await entriesOf(client)).length === 2);
  assert.deepEqual(await entriesOf(client), ["theirs other", "ours edge"]);
  client.put(gatewayKind, gatewayOf("edge", "example"));
  graph.batch(() => statuses.delete("shop/web"));
  await until(async () => (await entriesOf(client)).length === 1);
  assert.deepEqual(await entriesOf(client), ["theirs other"]);
});

test("an entry that became outdated while nobody led is removed when a replica begins to lead", async () => {
  const { client } = writing((cluster) => {
    cluster.put(gatewayClassKind, { metadata: { name: "example" }, spec: { controllerName: theirs } } as never);
    cluster.put(gatewayKind, gatewayOf("edge", "example"));
    cluster.put(
      httpRouteKind,
      routeOf([entry(ours, "edge"), entry(ours, "gone"), entry(theirs, "edge")], "edge", "gone"),
    );
  });
  await until(async () => (await entriesOf(client)).length === 1);
  assert.deepEqual(await entriesOf(client), ["theirs edge"]);
});

test("entries of another revision's Gateways stay, also of one that this replica does not know yet", async () => {
  const { client, graph, statuses } = writing((cluster) => {
    cluster.put(gatewayClassKind, { metadata: { name: "own" }, spec: { controllerName: ours } } as never);
    cluster.put(gatewayKind, gatewayOf("new", "own"));
    cluster.put(gatewayKind, gatewayOf("known", "istio"));
    cluster.put(
      httpRouteKind,
      routeOf([entry(ours, "known"), entry(ours, "new"), entry(ours, "unnamed")], "known", "new", "edge"),
    );
  });
  graph.batch(() => statuses.set("shop/web", wanted(["known", false], ["edge", true])));
  await until(async () => (await entriesOf(client)).includes("ours edge"));
  assert.deepEqual(await entriesOf(client), ["ours known", "ours new", "ours edge"]);
});

test("a replica that begins to lead reads no route whose entries all belong to another revision", async () => {
  const read: string[] = [];
  class CountingClient extends FakeKubeClient {
    override async get<Value extends KubernetesObject>(kind: KindDefinition<Value>, name: string, namespace?: string) {
      read.push(`${kind.kind} ${name}`);
      return await super.get(kind, name, namespace);
    }
  }
  const { graph, statuses, ingresses } = writing(
    (cluster) => {
      const route = routeOf([entry(ours, "known")], "known");
      cluster.put(httpRouteKind, route);
      cluster.put(httpRouteKind, { ...route, metadata: { namespace: "shop", name: "outdated" } });
    },
    { client: new CountingClient() },
  );
  graph.batch(() => {
    statuses.set("shop/web", wanted(["known", false]));
    statuses.set("shop/outdated", wanted(["other", false]));
  });
  await until(async () => await Promise.resolve(read.includes("HTTPRoute outdated")));
  graph.batch(() => ingresses.set("shop/web", { namespace: "shop", name: "web", uid: "", addresses: [] }));
  await until(async () => await Promise.resolve(read.includes("Ingress web")));
  assert.equal(read.includes("HTTPRoute web"), false);
});

test("the entries of another control plane stay in namespaces that this one does not read, or reads no more", async () => {
  let isRead = false;
  const service = { parentRef: { group: "", kind: "Service", name: "web" }, controllerName: ours, conditions: [] };
  const { client, graph, statuses, ingresses } = writing(
    (cluster) => {
      cluster.put(httpRouteKind, {
        ...routeOf([service]),
        spec: { parentRefs: [service.parentRef] },
      } as never);
      cluster.put(ingressKind, { metadata: { namespace: "shop", name: "web" } });
    },
    { includes: (namespace) => namespace !== "shop" || isRead },
  );
  isRead = true;
  const parents = [{ owned: true, status: { ...service, conditions: [] } as never }];
  graph.batch(() => statuses.set("shop/web", { uid: "", parents }));
  isRead = false;
  graph.batch(() => statuses.delete("shop/web"));
  // The writer handles its queue in order. When it has written this status, it has handled the changes above.
  graph.batch(() =>
    ingresses.set("shop/web", { namespace: "shop", name: "web", uid: "", addresses: [{ ip: "10.0.0.1" }] }),
  );
  await until(async () => (await client.get(ingressKind, "web", "shop"))?.status?.loadBalancer?.ingress?.length === 1);
  assert.deepEqual(await entriesOf(client), ["ours web"]);
});

const programmed = { status: { conditions: [{ type: "Programmed", status: "True" }], listeners: [{ name: "http" }] } };
const written = {
  metadata: { namespace: "shop", name: "edge", managedFields: [{ manager: fieldManager, subresource: "status" }] },
};

test("a Gateway and its ListenerSets lose our status with our class, unless another controller has written it", async () => {
  const set = (more: object): KubernetesObject =>
    ({
      metadata: { namespace: "shop", name: "set" },
      spec: { parentRef: { name: "edge" }, listeners: [] },
      ...more,
    }) as never;
  const { client, graph, gateways, listenerSets } = writing((cluster) => {
    cluster.put(gatewayKind, gatewayOf("edge", "istio", { ...programmed, ...written }));
    cluster.put(gatewayKind, gatewayOf("other", "example", programmed));
    cluster.put(listenerSetKind, set({ ...programmed, metadata: { ...written.metadata, name: "set" } }));
  });
  const conditions = async (name: string): Promise<number> =>
    (await client.get(gatewayKind, name, "shop"))?.status?.conditions?.length ?? 0;
  const status = { namespace: "shop", name: "edge", uid: "", addresses: [], attachedListenerSets: 0, listeners: [] };
  const conditionsWanted = [
    { type: "Programmed", status: "True", reason: "Programmed", message: "", observedGeneration: 1 },
  ];
  graph.batch(() => {
    gateways.set("shop/edge", { ...status, conditions: conditionsWanted as never });
    listenerSets.set("shop/set", {
      namespace: "shop",
      name: "set",
      uid: "",
      conditions: conditionsWanted as never,
      listeners: [],
    });
  });
  await until(async () => (await client.get(gatewayKind, "edge", "shop"))?.status?.listeners?.length === 0);
  client.put(gatewayKind, gatewayOf("edge", "example", { status: { conditions: conditionsWanted }, ...written }));
  graph.batch(() => {
    gateways.delete("shop/edge");
    listenerSets.delete("shop/set");
  });
  await until(async () => (await conditions("edge")) === 0);
  await until(async () => ((await client.get(listenerSetKind, "set", "shop"))?.status?.conditions?.length ?? 0) === 0);
  assert.equal(await conditions("other"), 1);
});

test("a Gateway whose revision changes keeps its status for the next revision", async () => {
  const { client, graph, gateways, ingresses } = writing((cluster) => {
    cluster.put(gatewayKind, gatewayOf("edge", "istio", { ...programmed, ...written }));
    cluster.put(ingressKind, { metadata: { namespace: "shop", name: "web" } });
  });
  graph.batch(() =>
    gateways.set("shop/edge", {
      namespace: "shop",
      name: "edge",
      uid: "",
      addresses: [],
      attachedListenerSets: 0,
      conditions: [],
      listeners: [],
    }),
  );
  graph.batch(() => gateways.delete("shop/edge"));
  graph.batch(() =>
    ingresses.set("shop/web", { namespace: "shop", name: "web", uid: "", addresses: [{ ip: "10.0.0.1" }] }),
  );
  await until(async () => (await client.get(ingressKind, "web", "shop"))?.status?.loadBalancer?.ingress?.length === 1);
  assert.equal((await client.get(gatewayKind, "edge", "shop"))?.status?.conditions?.length, 1);
});

test("the entries of other controllers stay in a policy's status, and ours fill what is left of its 16 entries", async () => {
  const ancestor = (controllerName: string, name: string) => ({
    ancestorRef: { name },
    controllerName,
    conditions: [],
  });
  const others = Array.from({ length: 15 }, (_, index) => ancestor(theirs, `other-${index}`));
  const metadata = { namespace: "shop", name: "web" };
  const { client, graph, policies } = writing((cluster) => {
    const ancestors = [ancestor(ours, "outdated"), ...others];
    cluster.put(backendTlsPolicyKind, { metadata, spec: {}, status: { ancestors } } as never);
  });
  graph.batch(() =>
    policies.set("shop/web", { ...metadata, uid: "", ancestors: [ancestor(ours, "first"), ancestor(ours, "second")] }),
  );
  const written = async (): Promise<readonly string[]> =>
    ((await client.get(backendTlsPolicyKind, "web", "shop"))?.status?.ancestors ?? []).map(
      ({ ancestorRef }) => ancestorRef.name,
    );
  await until(async () => !(await written()).includes("outdated"));
  assert.deepEqual(await written(), [...others.map(({ ancestorRef }) => ancestorRef.name), "first"]);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock, transientError, type Clock } from "../../base/index.ts";
import type { KindDefinition, KubernetesObject } from "../../api/index.ts";
import { serviceAccountKind } from "../../api/kubernetes/index.ts";
import type { RawOptions } from "../../kube/index.ts";
import { HandClock } from "../../base/testing/index.ts";
import { FakeKubeClient } from "../testing/fake-kube-client.ts";
import { Authenticator } from "./authenticator.ts";

class RecordingClient extends FakeKubeClient {
  readonly requestedAudiences: unknown[] = [];
  isAway = false;
  hangs = false;
  gets = 0;

  override async get<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    name: string,
    namespace?: string,
  ): Promise<Value | undefined> {
    this.gets += 1;
    if (this.hangs) return await new Promise<never>(() => undefined);
    if (this.isAway) throw transientError("unreachable", "connection refused");
    return await super.get(kind, name, namespace);
  }

  override async raw(method: string, path: string, options?: RawOptions): ReturnType<FakeKubeClient["raw"]> {
    this.requestedAudiences.push((options?.body as { spec?: { audiences: string[] } } | undefined)?.spec?.audiences);
    if (this.isAway) throw transientError("unreachable", "connection refused");
    return await super.raw(method, path, options);
  }
}

const [own, west] = [new RecordingClient(), new RecordingClient()];
const account = "system:serviceaccount:shop:web";
own.tokens.set("own", { username: account, pod: "web-1", podUid: "uid-1" });
west.tokens.set("west", { username: account, pod: "web-9", podUid: "uid-9" });
own.tokens.set("human", { username: "alice", pod: "" });
await own.create(serviceAccountKind, { metadata: { namespace: "shop", name: "web" } });
const clients = new Map([
  ["east", own],
  ["west", west],
]);
/** The uids of running pods, by `cluster/namespace/pod`. */
const seenPods = new Map<string, string>();
const uidOfPod = (...names: readonly string[]): string | undefined => seenPods.get(names.join("/"));
const make = (
  audiences: readonly string[] = ["istio-ca"],
  clock: Clock = systemClock,
  remembered?: number,
): Authenticator =>
  new Authenticator({
    clientOf: (id) => clients.get(id),
    clusterIds: () => [...clients.keys()],
    readsAllClusters: () => false,
    uidOfPod,
    clusterId: "east",
    audiences,
    trustDomain: () => "cluster.local",
    clock,
    ...(remembered === undefined ? {} : { remembered }),
  });
/** An authenticator of a control plane that reads these clusters. Its own cluster is `east`. */
const reading = (clock: Clock, ids: readonly string[], readsAllClusters = () => true): Authenticator =>
  new Authenticator({
    clientOf: (id) => (ids.includes(id) ? clients.get(id) : undefined),
    clusterIds: () => ids,
    readsAllClusters,
    uidOfPod,
    clusterId: "east",
    audiences: ["istio-ca"],
    trustDomain: () => "cluster.local",
    clock,
  });
const used: string[] = [];
const credentials = (token: string | undefined, clusterId = "", subjectAltName?: string) => ({
  authorization: token === undefined ? undefined : `Bearer ${token}`,
  clusterId,
  certificate:
    subjectAltName === undefined
      ? undefined
      : { names: () => ({ subjectAltName }), markUsed: () => void used.push(subjectAltName) },
  address: "10.0.0.1",
});

test("a token is reviewed by the API server of the cluster that the caller names, for the audiences that are set", async () => {
  const authenticator = make(["istio-ca", "mesh"]);
  assert.deepEqual(await authenticator.authenticate(credentials("own")), {
    namespace: "shop",
    serviceAccount: "web",
    pod: "web-1",
    podUid: "uid-1",
    clusterId: "east",
  });
  assert.deepEqual(own.requestedAudiences.at(-1), ["istio-ca", "mesh"]);
  assert.deepEqual(await authenticator.authenticate(credentials("west", "west")), {
    namespace: "shop",
    serviceAccount: "web",
    pod: "web-9",
    podUid: "uid-9",
    clusterId: "west",
  });
  await assert.rejects(authenticator.authenticate(credentials("west", "east")), /token is not valid/);
  await assert.rejects(
    authenticator.authenticate(credentials("own", "north")),
    /in the cluster "north", which this control plane does not know/,
  );
});

test("a token for another audience, or for none that the API server names, is refused", async () => {
  own.tokens.set("for another", { username: account, pod: "web-1", audiences: ["vault"] });
  own.tokens.set("for nobody", { username: account, pod: "web-1", audiences: [] });
  own.tokens.set("for several", { username: account, pod: "web-1", audiences: ["vault", "istio-ca"] });
  await assert.rejects(make().authenticate(credentials("for another")), /not valid: it is for vault/);
  await assert.rejects(
    make().authenticate(credentials("for nobody")),
    /not valid: it is for none of the expected audiences/,
  );
  assert.equal((await make().authenticate(credentials("for several"))).serviceAccount, "web");
});

test("a person's token and no credentials at all are refused", async () => {
  await assert.rejects(make().authenticate(credentials("human")), /alice is not a service account/);
  await assert.rejects(make().authenticate(credentials(undefined)), /neither a token nor a client certificate/);
  await assert.rejects(
    make().authenticate(credentials(undefined, "", "URI:spiffe://elsewhere/ns/shop/sa/web")),
    /neither a token/,
  );
  const forged =
    'DNS:"a, URI:spiffe://cluster.local/ns/istio-system/sa/istiod, b", URI:spiffe://elsewhere/ns/shop/sa/web';
  await assert.rejects(
    make().authenticate(credentials(undefined, "", forged)),
    /neither a token/,
    "what is within another name is none",
  );
});

test("a mesh certificate is enough for renewal, even if the token is invalid or the API server unreachable", async () => {
  const name = "URI:spiffe://cluster.local/ns/shop/sa/web";
  const caller = { namespace: "shop", serviceAccount: "web", pod: "", podUid: "", clusterId: "east" };
  assert.deepEqual(await make().authenticate(credentials(undefined, "", name)), caller);
  assert.deepEqual(await make().authenticate(credentials("expired", "", name)), caller);
  own.isAway = true;
  assert.deepEqual(await make().authenticate(credentials("own", "", name)), caller);
  await assert.rejects(make().authenticate(credentials("own")), /could not be checked/);
  own.isAway = false;
});

test("a certificate of a deleted service account proves nothing, unless there may be a cluster that is not read", async () => {
  let nowMs = 0;
  const clock = { ...systemClock, nowMs: () => nowMs };
  const name = "URI:spiffe://cluster.local/ns/shop/sa/gone";
  let readsAll = true;
  const single = reading(clock, ["east"], () => readsAll);
  const gone = /the service account shop\/gone of the caller's client certificate does not exist/;
  await assert.rejects(single.authenticate(credentials(undefined, "", name)), gone);
  await assert.rejects(single.authenticate(credentials("expired", "", name)), gone);
  own.isAway = true;
  await assert.rejects(single.authenticate(credentials(undefined, "", name)), gone, "it is remembered");
  nowMs += 5001;
  assert.equal((await single.authenticate(credentials(undefined, "", name))).serviceAccount, "gone");
  own.isAway = false;
  assert.equal(used.pop(), name, "without an answer, the certificate suffices");
  nowMs += 5001;
  await assert.rejects(single.authenticate(credentials(undefined, "", name)), gone);
  assert.equal(used.includes(name), false, "a connection does not depend on a certificate that was refused");
  readsAll = false;
  assert.equal((await single.authenticate(credentials(undefined, "", name))).serviceAccount, "gone");
  assert.equal((await make().authenticate(credentials(undefined, "", name))).serviceAccount, "gone");
  const kept = "URI:spiffe://cluster.local/ns/shop/sa/web";
  assert.equal((await single.authenticate(credentials(undefined, "", kept))).serviceAccount, "web");
});

test("with several clusters, a certificate proves nothing only if its account is deleted in all of them", async () => {
  const clock = new HandClock();
  const name = "URI:spiffe://cluster.local/ns/shop/sa/cart";
  const both = reading(clock, ["east", "west"]);
  const outcome = async (clusterId: string): Promise<string> => {
    clock.pass(10_000);
    return await both.authenticate(credentials(undefined, clusterId, name)).then(
      () => "accepted",
      (error: unknown) => (String(error).includes("does not exist") ? "refused" : String(error)),
    );
  };
  await west.create(serviceAccountKind, { metadata: { namespace: "shop", name: "cart" } });
  const gets = own.gets;
  assert.equal(await outcome("west"), "accepted");
  assert.equal(own.gets, gets, "the caller's cluster has it");
  for (const claimed of ["", "east", "north"]) assert.equal(await outcome(claimed), "accepted");
  await west.delete(serviceAccountKind, "cart", "shop");
  for (const claimed of ["", "west", "north"]) assert.equal(await outcome(claimed), "refused");
  west.isAway = true;
  assert.equal(await outcome(""), "accepted", "the account may be in the cluster that does not answer");
  west.isAway = false;
  own.isAway = true;
  assert.equal(await outcome(""), "accepted");
  own.isAway = false;
  assert.equal(await outcome(""), "refused");
});

test("an accepted token is remembered for 60 s while its pod is seen, and else for 10 s", async () => {
  const clock = new HandClock();
  const authenticator = make(undefined, clock);
  const before = own.requestedAudiences.length;
  const reviewsAfter = async (ms: number): Promise<number> => {
    clock.pass(ms);
    await authenticator.authenticate(credentials("own"));
    return own.requestedAudiences.length - before;
  };
  assert.equal(await reviewsAfter(0), 1);
  assert.equal(await reviewsAfter(9_999), 1);
  assert.equal(await reviewsAfter(1), 2, "the control plane may not read the pod's namespace");
  seenPods.set("east/shop/web-1", "uid-1");
  assert.equal(await reviewsAfter(10_000), 3);
  assert.equal(await reviewsAfter(59_999), 3);
  seenPods.set("east/shop/web-1", "uid-2");
  assert.equal(await reviewsAfter(0), 4, "another pod has the name");
  own.tokens.delete("own");
  seenPods.delete("east/shop/web-1");
  clock.pass(10_000);
  await assert.rejects(authenticator.authenticate(credentials("own")), /token is not valid/);
  own.tokens.set("own", { username: account, pod: "web-1", podUid: "uid-1" });
});

test("an API server that hangs keeps a caller with a certificate waiting for 2 s, and others not at all", async () => {
  const clock = new HandClock();
  const single = reading(clock, ["east"]);
  const name = "URI:spiffe://cluster.local/ns/shop/sa/web";
  const gets = own.gets;
  own.hangs = true;
  const callers = Array.from({ length: 20 }, async () => await single.authenticate(credentials(undefined, "", name)));
  const others = Array.from({ length: 20 }, async (_, index) =>
    single.authenticate(credentials(undefined, "", `${name}-${index}`)),
  );
  await new Promise((resolve) => setImmediate(resolve));
  clock.pass(1999);
  assert.equal(clock.timers > 0, true);
  clock.pass(1);
  assert.equal((await Promise.all([...callers, ...others])).length, 40);
  assert.equal(own.gets - gets, 8, "the calls of one address that run at once");
  assert.equal((await single.authenticate(credentials(undefined, "", name))).serviceAccount, "web");
  assert.equal(own.gets - gets, 8, "that there was no answer is remembered");
  own.hangs = false;
  clock.pass(5001);
  await single.authenticate(credentials(undefined, "", name));
  assert.equal((await single.authenticate(credentials("own"))).pod, "web-1", "the queue is free");
  assert.equal(own.gets - gets, 9);
});

test("a cluster that hangs delays neither the tokens nor the certificates of other clusters", async () => {
  const clock = new HandClock();
  const both = reading(clock, ["east", "west"]);
  const name = "URI:spiffe://cluster.local/ns/shop/sa/web";
  own.tokens.set("own", { username: account, pod: "web-1", podUid: "uid-1" });
  const from = (index: number, given: ReturnType<typeof credentials>) => ({ ...given, address: `10.1.${index}.1` });
  const gets = west.gets;
  west.hangs = true;
  const remote = Array.from({ length: 256 }, async (_, index) =>
    both.authenticate(from(index, credentials(undefined, "west", `${name}-${index}`))),
  );
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(west.gets - gets, 32, "the calls of one cluster that run at once");
  const seen: string[] = [];
  void both.authenticate(from(300, credentials("own"))).then(({ pod }) => seen.push(pod));
  void both
    .authenticate(from(301, credentials(undefined, "", name)))
    .then((caller) => seen.push(caller.serviceAccount));
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(seen.sort(), ["web", "web-1"]);
  clock.pass(2000);
  assert.equal((await Promise.all(remote)).length, 256);
  west.hangs = false;
});

test("concurrent streams with one token cause one review, a refusal is cached for seconds, and evicts no accepted token", async () => {
  let nowMs = 0;
  const authenticator = make(undefined, { ...systemClock, nowMs: () => nowMs }, 10);
  const resultOf = async (token: string): Promise<string> =>
    await authenticator.authenticate(credentials(token)).then(
      ({ pod }) => pod,
      (error: unknown) => String(error),
    );
  const before = own.requestedAudiences.length;
  assert.deepEqual(new Set(await Promise.all(Array.from({ length: 50 }, () => resultOf("own")))), new Set(["web-1"]));
  assert.equal(own.requestedAudiences.length - before, 1);
  for (let round = 0; round < 3; round += 1) assert.match(await resultOf("late"), /token is not valid/);
  assert.equal(own.requestedAudiences.length - before, 2);
  own.tokens.set("late", { username: account, pod: "web-3" });
  assert.match(await resultOf("late"), /token is not valid/);
  nowMs += 5001;
  assert.equal(await resultOf("late"), "web-3");
  const atFlood = own.requestedAudiences.length;
  for (let index = 0; index < 25; index += 1) await resultOf(`guess-${index}`);
  assert.equal(own.requestedAudiences.length - atFlood, 25);
  assert.equal(await resultOf("own"), "web-1");
  assert.equal(own.requestedAudiences.length - atFlood, 25);
});

test("each try sends a new review to an unreachable API server, because failures are not cached", async () => {
  const authenticator = make();
  own.isAway = true;
  await assert.rejects(authenticator.authenticate(credentials("own")), /could not be checked/);
  own.isAway = false;
  assert.equal((await authenticator.authenticate(credentials("own"))).pod, "web-1");
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger, type Clock } from "../../../base/index.ts";
import type { UntypedObject } from "../../../api/index.ts";
import { FakeKubeApi } from "../testing/fake-kube-api.ts";
import { HandClock } from "../../../base/testing/index.ts";
import { syntheticIdentity } from "../testing/synthetic-access.ts";
import { ClusterAccess, limitsOfRights } from "./cluster-access.ts";
import { readerOf } from "./identity.ts";
import { KubeconfigAccess } from "./kubeconfig-access.ts";
import { Sessions } from "./sessions.ts";

const config = { server: "https://10.0.0.1:6443", context: "c", namespace: "dev" };
const namespaces: readonly UntypedObject[] = ["dev", "prod", "shop"].map((name) => ({
  apiVersion: "v1",
  kind: "Namespace",
  metadata: { name },
}));

function clusterAccess({
  server,
  user,
  clock = new HandClock(),
  anonymousReads = false,
}: {
  server: FakeKubeApi;
  user: FakeKubeApi;
  clock?: Clock;
  anonymousReads?: boolean;
}): ClusterAccess {
  return new ClusterAccess({
    config,
    client: server,
    anonymousReads,
    namespace: "istio-system",
    clock,
    log: silentLogger,
    credentialsOfToken: () => ({
      client: user,
      config,
      connectToPod: async () => await Promise.reject(new Error("no pods here")),
    }),
  });
}

test("a token is reviewed by the server, and rights are checked with the token itself", async () => {
  const server = new FakeKubeApi({ objects: namespaces, tokens: { good: "bob" } });
  const user = new FakeKubeApi({
    user: "bob",
    allows: ({ verb, resource, namespace }) =>
      resource === "pods" && verb === "list" && (namespace === "dev" || namespace === "shop"),
  });
  const identity = await clusterAccess({ server, user }).logIn("good");
  assert.deepEqual([identity.user, identity.authentication], ["bob", "token"]);
  assert.deepEqual(await identity.namespaces(), new Set(["dev", "shop"]));
  assert.equal(
    await identity.may({ verb: "patch", group: "rollout.serin.dev", resource: "canaries", namespace: "dev" }),
    false,
  );
  assert.deepEqual(
    server.requests.map(({ line }) => line),
    ["POST /apis/authentication.k8s.io/v1/tokenreviews"],
  );
  assert.ok(user.requests.every(({ line }) => line.endsWith("/selfsubjectaccessreviews")));
  await assert.rejects(clusterAccess({ server, user }).logIn("bad"), { code: "forbidden" });
});

test("if the server may not review tokens, the token identifies its own user", async () => {
  const server = new FakeKubeApi({
    answers: { "POST /apis/authentication.k8s.io/v1/tokenreviews": { status: 403, text: "{}" } },
  });
  const identity = await clusterAccess({ server, user: new FakeKubeApi({ user: "carla" }) }).logIn("token");
  assert.equal(identity.user, "carla");
});

test("rights are cached for ten seconds, and then a revoked right is gone", async () => {
  const clock = new HandClock();
  const user = new FakeKubeApi();
  const identity = await clusterAccess({ server: new FakeKubeApi({ tokens: { good: "bob" } }), user, clock }).logIn(
    "good",
  );
  const right = { verb: "get", group: "", resource: "secrets", namespace: "dev" };
  assert.equal(await identity.may(right), true);
  user.allows = () => false;
  assert.equal(await identity.may(right), true);
  assert.equal(user.requests.length, 1);
  clock.pass(11_000);
  assert.equal(await identity.may(right), false);
});

test("while the API server is down nobody may act, and views stay visible for a while", async () => {
  const clock = new HandClock();
  const [server, user] = [new FakeKubeApi({ tokens: { good: "bob" }, objects: namespaces }), new FakeKubeApi()];
  const identity = await clusterAccess({ server, user, clock }).logIn("good");
  assert.equal(await identity.namespaces(), "*");
  server.isAway = true;
  user.isAway = true;
  clock.pass(60_000);
  assert.equal(await identity.namespaces(), "*");
  assert.equal(await identity.may({ verb: "get", group: "", resource: "pods", namespace: "dev" }), false);
  assert.deepEqual(await limitsOfRights(identity), [
    "The API server does not report what you may do: orders are accepted again once it answers.",
  ]);
  assert.equal(await identity.isValid(), true);
  clock.pass(3_600_000);
  await assert.rejects(identity.namespaces(), { code: "unreachable" });
  assert.equal(await identity.isValid(), false);
});

test("a session ends when its token expires or the API server rejects it", async () => {
  const clock = new HandClock();
  const server = new FakeKubeApi({ tokens: { opaque: "bob" } });
  const access = clusterAccess({ server, user: new FakeKubeApi(), clock });
  const opaque = await access.logIn("opaque");
  clock.pass(120_000);
  assert.equal(await opaque.isValid(), true);
  server.tokens = {};
  clock.pass(120_000);
  assert.equal(await opaque.isValid(), false);
  const jwt = `e30.${Buffer.from(JSON.stringify({ exp: clock.nowMs() / 1_000 + 30 })).toString("base64url")}.x`;
  server.tokens = { [jwt]: "bob" };
  const expiring = await access.logIn(jwt);
  assert.equal(await expiring.isValid(), true);
  clock.pass(31_000);
  assert.equal(await expiring.isValid(), false);
});

test("an anonymous reader reads with the server's account, and has no credentials to write", async () => {
  const server = new FakeKubeApi();
  const { anonymous } = clusterAccess({ server, user: new FakeKubeApi(), anonymousReads: true });
  assert.equal(await anonymous?.namespaces(), "*");
  assert.equal(anonymous?.own, undefined);
  assert.equal(clusterAccess({ server, user: new FakeKubeApi() }).anonymous, undefined);
});

test("the printed address admits one browser, and then a new one is printed", async () => {
  const client = new FakeKubeApi({ user: "dora" });
  const used: string[] = [];
  const access: KubeconfigAccess = await KubeconfigAccess.open({
    own: { client, config, connectToPod: async () => await Promise.reject(new Error("none")) },
    cluster: "lab",
    namespace: "dev",
    clock: new HandClock(),
    users: { own: 1000, sudo: undefined },
    secretUsed: () => void used.push(access.secret),
  });
  const { secret } = access;
  assert.equal(access.enter(`${secret}x`), undefined);
  assert.equal(access.enter(secret)?.user, "dora");
  assert.equal(access.enter(secret), undefined);
  assert.deepEqual(used, [access.secret]);
  assert.notEqual(access.secret, secret);
});

test("users with the same visibility share views, except those that show their rights", async () => {
  const [ana, bob] = ["ana", "bob"].map((user) =>
    syntheticIdentity({ user, namespaces: async () => await Promise.resolve(new Set(["b", "a"])) }),
  );
  assert.ok(ana !== undefined && bob !== undefined);
  assert.equal((await readerOf(ana, "graph")).key, (await readerOf(bob, "graph")).key);
  assert.notEqual((await readerOf(ana, "rollout")).key, (await readerOf(bob, "rollout")).key);
  assert.notEqual((await readerOf(ana, "graph")).key, (await readerOf(syntheticIdentity(), "graph")).key);
  assert.equal(
    await (await readerOf(ana, "graph")).may({ verb: "get", group: "", resource: "pods", namespace: "a" }),
    false,
  );
});

test("a user's rights remain visible after another session of theirs has ended", async () => {
  const access = clusterAccess({
    server: new FakeKubeApi({ tokens: { good: "bob" }, objects: namespaces }),
    user: new FakeKubeApi({ user: "bob" }),
  });
  const [first, second] = [await access.logIn("good"), await access.logIn("good")];
  const readers = [await readerOf(first, "rollout"), await readerOf(second, "rollout")] as const;
  assert.notEqual(readers[0].key, readers[1].key);
  assert.equal((await readerOf(second, "rollout")).key, readers[1].key);
  first.close();
  assert.equal(
    await readers[1].may({ verb: "patch", group: "rollout.serin.dev", resource: "canaries", namespace: "dev" }),
    true,
  );
});

test("sessions end when idle, when old, or above the maximum number, the least used first", () => {
  const clock = new HandClock();
  const sessions = new Sessions({ clock, idleMs: 1_000, absoluteMs: 5_000 });
  const closed: string[] = [];
  const begin = (user: string): string =>
    sessions.begin(syntheticIdentity({ user, close: () => void closed.push(user) }));
  const idle = begin("idle");
  clock.pass(1_001);
  assert.equal(sessions.find(idle), undefined);
  assert.deepEqual(closed, ["idle"]);
  const used = begin("used");
  for (let count = 0; count < 10; count += 1) {
    clock.pass(499);
    assert.notEqual(sessions.find(used), undefined);
  }
  clock.pass(499);
  assert.equal(sessions.find(used), undefined);
  for (let count = 0; count < 40; count += 1) begin("many");
  assert.equal(sessions.size, 32);
});

test("users who may not list MeshUpgrades or freezes share no view with those who may", async () => {
  const user = new FakeKubeApi({ allows: ({ resource }) => resource !== "freezes" });
  const identity = await clusterAccess({ server: new FakeKubeApi({ tokens: { good: "bob" } }), user }).logIn("good");
  const reader = await readerOf(identity, "rollouts");
  assert.deepEqual([[...reader.hiddenKinds], reader.namespaces], [["Freeze"], "*"]);
  assert.notEqual(reader.key, (await readerOf(syntheticIdentity(), "rollouts")).key);
});

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { systemClock } from "../../base/index.ts";
import { readInjectionSettings, readMeshForInjection, type InjectionContext } from "../../inject/index.ts";
import type { AdmissionAnswer } from "../../api/admission-review/index.ts";
import { ReviewQueue } from "./review-queue.ts";
import type { ReviewTask } from "./review-messages.ts";

const defaults = {
  hub: "docker.io/istio",
  tag: "1",
  istioNamespace: "istio-system",
  revision: "default",
  clusterName: "Kubernetes",
  network: "",
};
let context: InjectionContext = {
  settings: readInjectionSettings({}, defaults),
  mesh: readMeshForInjection({}),
  revision: "default",
  nativeSidecars: true,
  proxyConfigs: [],
};
const scope = (namespace: string): { context: InjectionContext; namespaceLabels: Record<string, string> } => ({
  context,
  namespaceLabels: namespace === "ambient" ? { "istio.io/dataplane-mode": "ambient" } : {},
});
const queue = new ReviewQueue({ scope, clock: systemClock });
after(async () => await queue.close());

const task = (review: unknown, path = "/validate"): ReviewTask => ({
  path,
  body: Buffer.from(JSON.stringify(review)),
});
const virtualService = (uid: string, hosts: readonly string[], namespace = "shop"): ReviewTask =>
  task({
    request: {
      uid,
      name: "reviews",
      namespace,
      kind: { group: "networking.istio.io", version: "v1", kind: "VirtualService" },
      operation: "CREATE",
      object: {
        metadata: { name: "reviews", namespace },
        spec: { hosts, http: [{ route: [{ destination: { host: "a" } }] }] },
      },
    },
  });
const pod = (uid: string, namespace: string): ReviewTask =>
  task(
    {
      request: {
        uid,
        namespace,
        kind: { group: "", version: "v1", kind: "Pod" },
        name: "web",
        object: { metadata: { name: "web" }, spec: { containers: [{ name: "app", image: "app" }] } },
      },
    },
    "/inject/net/east",
  );
const manyHosts = Array.from({ length: 20_000 }, (_, index) => `h${index}.example.com`);

async function answerOf(reviewQueue: ReviewQueue, task: ReviewTask): Promise<AdmissionAnswer["response"]> {
  const verdict = await reviewQueue.review("10.0.0.1", task);
  assert.ok(verdict?.kind === "answer", JSON.stringify(verdict));
  return (JSON.parse(verdict.text) as AdmissionAnswer).response;
}

test("the review thread validates objects and injects pods with the current configuration", async () => {
  assert.equal((await answerOf(queue, virtualService("1", ["reviews"]))).allowed, true);
  const bad = await answerOf(queue, virtualService("2", ["*bad*"]));
  assert.deepEqual([bad.uid, bad.allowed], ["2", false]);
  assert.deepEqual(await answerOf(queue, pod("3", "ambient")), { uid: "3", allowed: true });
  const patchOf = async (): Promise<string> =>
    Buffer.from((await answerOf(queue, pod("4", "demo"))).patch ?? "", "base64").toString("utf8");
  const before = await patchOf();
  assert.match(before, /"name":"ISTIO_META_NETWORK","value":"east"/);
  assert.match(before, /docker\.io\/istio\/proxyv2:1/);
  context = { ...context, settings: readInjectionSettings({}, { ...defaults, tag: "2" }) };
  assert.match(await patchOf(), /docker\.io\/istio\/proxyv2:2/);
});

test("the event loop keeps turning while an object of 20,000 hosts is validated", async () => {
  let turns = 0;
  let isDone = false;
  const turn = (): void => {
    turns += 1;
    if (!isDone) setTimeout(turn, 1);
  };
  const judged = answerOf(queue, virtualService("1", manyHosts));
  turn();
  assert.equal((await judged).allowed, true);
  isDone = true;
  // If this thread ran the review, the event loop would make only a few turns.
  assert.ok(turns > 20, `${turns} turns`);
});

test("a review that exceeds its time limit names its object, and the next one gets a new thread", async () => {
  let passLimit: (() => void) | undefined;
  const clock = {
    ...systemClock,
    after: (_ms: number, run: () => void): Disposable => {
      passLimit = run;
      return { [Symbol.dispose]: () => (passLimit = undefined) };
    },
  };
  let isSlow = true;
  const limited = new ReviewQueue({
    clock,
    // The thread asks for the scope after it has read the object's name.
    scope: (namespace) => {
      if (isSlow) passLimit?.();
      return scope(namespace);
    },
  });
  const verdict = await limited.review("10.0.0.1", pod("7", "shop"));
  assert.ok(verdict?.kind === "overdue");
  assert.equal(verdict.reviewed?.uid, "7");
  assert.equal(verdict.reviewed.object, 'Pod "shop/web"');
  isSlow = false;
  assert.equal((await answerOf(limited, pod("8", "shop"))).patchType, "JSONPatch");
  await limited.close();
});

test("callers take turns, and abandoned reviews are not executed", async () => {
  const order: string[] = [];
  const submit = async (caller: string, uid: string, isWanted = true): Promise<void> => {
    const verdict = await queue.review(caller, virtualService(uid, ["reviews"]), () => isWanted);
    order.push(verdict === undefined ? `${uid} left out` : uid);
  };
  await Promise.all([
    submit("flood", "f1"),
    submit("flood", "f2"),
    submit("flood", "f3", false),
    submit("flood", "f4"),
    submit("server", "s1"),
  ]);
  assert.deepEqual(order, ["f1", "f2", "s1", "f3 left out", "f4"]);
});

test("the namespaces of one API server take turns, and one with many waiting reviews is refused alone", async () => {
  const order: string[] = [];
  const submit = async (uid: string, namespace: string): Promise<void> => {
    const verdict = await queue.review("10.0.0.1", virtualService(uid, ["a"], namespace));
    order.push(verdict === undefined ? `${uid} refused` : uid);
  };
  await Promise.all([
    ...Array.from({ length: 300 }, async (_, index) => await submit(`flood ${index}`, "flood")),
    submit("shop", "shop"),
  ]);
  const served = order.filter((uid) => !uid.endsWith("refused"));
  assert.deepEqual(served.slice(0, 4), ["flood 0", "flood 1", "shop", "flood 2"]);
  assert.equal(served.length, 256 + 1 + 1);
});

test("a caller with many waiting reviews is refused, and other callers are not", async () => {
  const reviews = Array.from(
    { length: 300 },
    async (_, index) => await queue.review("flood", virtualService(`${index}`, ["a"])),
  );
  const other = queue.review("server", virtualService("s", ["a"]));
  const verdicts = await Promise.all(reviews);
  assert.equal(verdicts.filter((verdict) => verdict === undefined).length, 300 - 256 - 1);
  assert.equal((await other)?.kind, "answer");
});

test("a malformed review is a fault", async () => {
  const verdict = await queue.review("10.0.0.1", { path: "/validate", body: Buffer.from("[") });
  assert.equal(verdict?.kind, "fault");
  const list = await queue.review("10.0.0.1", task("text"));
  assert.deepEqual(list, { kind: "fault", message: "the body is not an AdmissionReview" });
});

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import { test, type TestContext } from "node:test";
import type { Pod } from "../../api/kubernetes/index.ts";
import { observeConvergence } from "./checks/convergence.ts";
import { fakePod, fakeView, standingClock } from "./checks/testing/fake-mesh.ts";
import type { ClusterView } from "./cluster-view.ts";
import { httpGet } from "./http-get.ts";
import type { PilotPod } from "./pilot-debug/pilot-pod.ts";
import { notConcerned, observeAcknowledged, observeForgotten } from "./acknowledgements.ts";
import { observeNotRejected, observeRejections } from "./rejections.ts";
import { dependentProxies } from "./served-proxies.ts";
import { SilentPods } from "./silent-pods.ts";
import { transientError } from "../../base/index.ts";
import { unanswered } from "./pilot-answers.ts";

const debugPort = 8080;
const pilot: PilotPod = {
  name: "istiod-1-1-0-7c9",
  namespace: "istio-system",
  revision: "1-1-0",
  serviceAccount: "istiod-1-1-0",
  address: "127.0.0.1",
  rootConfigMap: "istio-ca-root-cert",
};

async function serve(context: TestContext, answer: RequestListener): Promise<void> {
  const server = createServer(answer).listen(debugPort, "127.0.0.1");
  context.after(() => server.close());
  await once(server, "listening");
}

/**
 * Reads debug pages from the test's server. The tests in `pilot-debug` cover how the engine reaches those of an istiod.
 */
const pilotDebug = {
  ask: async ({ address }: PilotPod, path: string) => await httpGet(address, debugPort, path),
  lacks: () => false,
} as unknown as ClusterView["pilotDebug"];

function viewOf(
  clock = standingClock(),
  reporterNamespaces?: ReadonlySet<string>,
  others: readonly Pod[] = [],
): { readonly view: ClusterView; readonly clock: typeof clock } {
  const pod = fakePod({
    name: pilot.name,
    namespace: pilot.namespace,
    labels: { app: "istiod", "istio.io/rev": pilot.revision },
    status: { podIP: "127.0.0.1", conditions: [{ type: "Ready", status: "True" }] },
  });
  const context = { pilotDebug, silentPods: new SilentPods(clock) };
  return { view: Object.assign(fakeView([pod, ...others], [], reporterNamespaces), context), clock };
}

const route = {
  apiVersion: "networking.istio.io/v1",
  kind: "VirtualService",
  plural: "virtualservices",
  namespace: "shop",
  name: "reviews",
};
const asked = { reference: route, concerned: [] };
const who = "istiod istio-system/istiod-1-1-0-7c9 of revision 1-1-0";
const remedy = "the engine asks again; if this lasts, see kubectl -n istio-system logs istiod-1-1-0-7c9";

test("the error for an istiod that does not answer has its name, the time since when, the question, the cause and a command", async () => {
  const { view, clock } = viewOf();
  const refused = "since 2023-11-14T22:13:20Z: nothing listens on 127.0.0.1:8080 (ECONNREFUSED)";
  const acknowledged = await observeAcknowledged(view, { ...asked, object: undefined, ageMs: () => 0 });
  assert.equal(
    acknowledged.state === "waiting" ? acknowledged.detail : "",
    `${who} has not reported which proxies have acknowledged VirtualService shop/reviews ${refused}; ${remedy}`,
  );
  // All later errors about the pilot name the same beginning of its silence.
  clock.nowAtMs += 20_000;
  const proxies = `${who} has not reported which proxies it serves ${refused}; ${remedy}`;
  for (const observation of [await observeRejections(view, "1-1-0"), await observeConvergence(view, { type: "mesh" })])
    assert.deepEqual(observation, { type: "unavailable", detail: proxies });
});

test("an istiod that answers in between is silent only since it stopped again", async (context) => {
  let status = 500;
  await serve(context, (_, response) => response.writeHead(status).end("[]"));
  const { view, clock } = viewOf();
  const detail = async (): Promise<string> => {
    const observation = await observeRejections(view, "1-1-0");
    return observation.type === "unavailable" ? observation.detail : observation.type;
  };
  assert.match(await detail(), /since 2023-11-14T22:13:20Z: 127\.0\.0\.1:8080 answered with HTTP status 500;/);
  clock.nowAtMs += 20_000;
  status = 200;
  assert.equal(await detail(), "verdict");
  status = 500;
  assert.match(await detail(), /since 2023-11-14T22:13:40Z: /);
  // Without a request for more than a minute, the silence begins anew with the next one.
  clock.nowAtMs += 61_000;
  assert.match(await detail(), /since 2023-11-14T22:14:41Z: /);
});

test("an answer that is not JSON causes an error that says so", async (context) => {
  await serve(context, (_, response) => response.end("<html>"));
  const observation = await observeRejections(viewOf().view, "1-1-0");
  assert.match(
    observation.type === "unavailable" ? observation.detail : "",
    /: 127\.0\.0\.1 sent an answer that is not JSON;/,
  );
});

test("a deleted object is used until the pilots have had time to push, and then until all proxies are in sync", async (context) => {
  let acked = "1";
  const listener = (nonce: string): object => ({ sent: "2", acked: nonce, nacked: "", reason: null });
  await serve(context, (_, response) =>
    response.end(JSON.stringify([{ id: "web", namespace: "shop", types: { LDS: listener(acked) } }])),
  );
  const { view } = viewOf();
  const detail = async (deletedMs: number): Promise<string> => {
    const state = await observeForgotten(view, asked, deletedMs);
    return state.state === "waiting" ? state.detail : state.state;
  };
  assert.equal(await detail(2999), "it is deleted, and istiod-1-1-0-7c9 may not have pushed that yet");
  assert.equal(await detail(3000), "web is not in sync with istiod-1-1-0-7c9");
  acked = "2";
  assert.equal(await detail(3000), "met");
  assert.deepEqual(
    await observeForgotten(fakeView([]), asked, 0),
    { state: "met" },
    "proxies keep what the route leads to",
  );
});

const reason = "the proxy says so";
/** A proxy that has not acknowledged its last response: it has rejected it, or not answered. */
function late(namespace: string, isRejecting: boolean): object {
  const types = { "type.googleapis.com/x.Listener": { sent: "2", acked: "1", nacked: "2", reason } };
  const quiet = { "type.googleapis.com/x.Listener": { sent: "2", acked: "1", nacked: "", reason: null } };
  return {
    id: `web.${namespace}`,
    type: "sidecar",
    namespace,
    connected: true,
    acknowledged: false,
    rejected: isRejecting ? { typeUrl: "x.Listener", reason } : null,
    types: isRejecting ? types : quiet,
  };
}

async function serveProxies(context: TestContext, proxies: () => readonly object[]): Promise<void> {
  await serve(context, (request, response) => {
    const isReport = request.url?.startsWith("/debug/serin/acknowledged") === true;
    const found = proxies();
    response.end(JSON.stringify(isReport ? { revision: "1-1-0", processed: true, proxies: found } : found));
  });
}

const backends = { canary: { namespace: "shop" }, stable: { namespace: "shop" } };
const subject = { type: "backends", ...backends, expectedShare: 10, atLeast: false } as const;

test("with trusted reporters, the proxies of other namespaces neither delay a Canary nor fail it by what they reject", async (context) => {
  let proxies: readonly object[] = [];
  await serveProxies(context, () => proxies);
  const found = async (trusted: ReadonlySet<string>, namespace: string) => {
    proxies = [late(namespace, true)];
    const { view } = viewOf(standingClock(), trusted);
    const { state } = await observeAcknowledged(view, { ...asked, object: undefined, ageMs: () => 0 });
    const [rejections, convergence] = [
      await observeRejections(view, "1-1-0", ["shop"]),
      await observeConvergence(view, subject, []),
    ];
    const { state: forgotten } = await observeForgotten(view, asked, Number.POSITIVE_INFINITY);
    return [
      state,
      forgotten,
      ...[rejections, convergence].map((one) => (one.type === "verdict" ? one.verdict : one.type)),
    ];
  };
  const edge = new Set(["edge"]);
  assert.deepEqual(await found(edge, "attacker"), ["met", "met", "wait", "wait"]);
  for (const counted of ["shop", "edge", "istio-system"])
    assert.deepEqual(await found(edge, counted), ["failed", "met", "fail", "fail"], counted);
});

test("an undo waits for a concerned proxy that has not answered, and not for one that rejects what it is sent", async (context) => {
  let proxies: readonly object[] = [late("shop", false)];
  await serveProxies(context, () => proxies);
  const { view } = viewOf();
  const state = async () => (await observeForgotten(view, asked, Number.POSITIVE_INFINITY)).state;
  assert.equal(await state(), "waiting");
  proxies = [late("shop", true)];
  assert.equal(await state(), "met");
});

test("without any setting, a pod of another namespace fails no rollout by what it rejects, and is reported", async (context) => {
  let proxies: readonly object[] = [late("attacker", true)];
  await serveProxies(context, () => proxies);
  const { view } = viewOf();
  const about = { ...asked, object: undefined, ageMs: () => 0 };
  const text = `web.attacker rejected the configuration of istiod-1-1-0-7c9: ${reason} (${notConcerned})`;
  assert.deepEqual(await observeAcknowledged(view, about), { state: "met", note: text });
  const rejections = await observeRejections(view, "1-1-0", ["shop"]);
  assert.ok(rejections.type === "verdict" && rejections.verdict === "pass");
  assert.match(
    rejections.evidence,
    /^1 proxy of 1-1-0, none of the concerned .*; web\.attacker rejected x\.Listener: /,
  );
  assert.deepEqual(await observeNotRejected(view, "1-1-0", []), { state: "met", note: rejections.evidence });
  proxies = [late("attacker", false)];
  const waits = { state: "waiting", isOfOthers: true, left: 1 } as const;
  const detail = `web.attacker has not acknowledged yet (${notConcerned})`;
  assert.deepEqual(await observeAcknowledged(view, about), { ...waits, detail }, "a silent proxy");
  assert.deepEqual(await observeAcknowledged(view, { ...about, withoutOthers: true }), { state: "met" });
  const forgotten = await observeForgotten(view, asked, Number.POSITIVE_INFINITY);
  assert.ok(forgotten.state === "waiting" && forgotten.isOfOthers === true);
  assert.deepEqual(await observeForgotten(view, { ...asked, withoutOthers: true }, Number.POSITIVE_INFINITY), {
    state: "met",
  });
});

test("proxies of the route's gateways, of the changed namespaces and of ztunnels decide", async (context) => {
  let proxies: readonly object[] = [];
  await serveProxies(context, () => proxies);
  const { view } = viewOf();
  const spec = { gateways: ["mesh", "edge/front", "own"], parentRefs: [{ name: "g", namespace: "ingress" }] };
  const object = { metadata: { name: "reviews", namespace: "shop" }, spec };
  for (const namespace of ["shop", "edge", "ingress", "next", "istio-system", "kube-system"]) {
    proxies = [late(namespace, true)];
    const { state } = await observeAcknowledged(view, { ...asked, object, ageMs: () => 0, concerned: ["next"] });
    assert.equal(state, "failed", namespace);
  }
});

test("a step and an undo wait for a proxy that is between two connections, while its pod lives", async (context) => {
  const gone = { id: "web.shop", type: "sidecar", namespace: "shop", goneAt: "2023-11-14T22:13:20Z", types: {} };
  const answers = new Map<string, readonly object[]>();
  for (const address of ["127.0.0.1", "127.0.0.2"]) {
    const server = createServer(({ url = "" }, response) => {
      const isReport = url.startsWith("/debug/serin/acknowledged");
      const proxies = isReport || url.endsWith("?gone=true") ? (answers.get(address) ?? []) : [];
      response.end(JSON.stringify(isReport ? { revision: "1-1-0", processed: true, proxies } : proxies));
    }).listen(debugPort, address);
    context.after(() => server.close());
    await once(server, "listening");
  }
  const second = fakePod({
    name: "istiod-2",
    namespace: pilot.namespace,
    labels: { app: "istiod", "istio.io/rev": "2" },
    status: { podIP: "127.0.0.2", conditions: [{ type: "Ready", status: "True" }] },
  });
  const web = fakePod({ name: "web", namespace: "shop", labels: {}, status: { phase: "Running" } });
  const found = async (pods: readonly Pod[], trusted?: ReadonlySet<string>) => {
    const { view } = viewOf(standingClock(), trusted, [second, ...pods]);
    return [
      await observeAcknowledged(view, { ...asked, object: undefined, ageMs: () => 0 }),
      await observeForgotten(view, asked, Number.POSITIVE_INFINITY),
      await dependentProxies(view, "1-1-0"),
    ];
  };
  const met = { state: "met" };
  answers.set("127.0.0.1", [{ ...gone, connected: false, acknowledged: false, rejected: null }]);
  const detail = "web.shop has lost its connection to the control plane, and has not acknowledged anything since";
  const waits = { state: "waiting", detail, left: 1 };
  assert.deepEqual(await found([web]), [waits, waits, ["web.shop"]]);
  assert.deepEqual(await found([]), [met, met, []], "its pod has gone");
  const ending = { ...web, metadata: { ...web.metadata, deletionTimestamp: "2023-11-14T22:13:20Z" } };
  assert.deepEqual(await found([ending]), [met, met, []], "its pod is ending");
  const { goneAt: _, ...back } = gone;
  answers.set("127.0.0.2", [{ ...back, connected: true, acknowledged: true, rejected: null }]);
  assert.deepEqual(await found([web]), [met, met, []], "it is connected to another control plane");
  answers.set("127.0.0.2", []);
  answers.set("127.0.0.1", [
    { ...gone, id: "web.other", namespace: "other", connected: false, acknowledged: false, rejected: null },
  ]);
  const other = fakePod({ name: "web", namespace: "other", labels: {}, status: { phase: "Running" } });
  const ofOthers = { ...waits, detail: `${detail.replace("shop", "other")} (${notConcerned})`, isOfOthers: true };
  assert.deepEqual(await found([other]), [ofOthers, ofOthers, ["web.other"]]);
});

test("a question that waits for the API server names the command that shows its health, and not the istiod's log", () => {
  const silentPods = new SilentPods(standingClock());
  const question = { path: "/debug/syncz", about: "which proxies it serves" };
  const told = (code: "timeout" | "pod-unreachable"): string =>
    unanswered({ silentPods }, pilot, question, transientError(code, "no answer")).message;
  assert.match(
    told("timeout"),
    /: no answer; the engine asks again; if this lasts, see kubectl get --raw '\/readyz\?verbose'$/,
  );
  assert.match(told("pod-unreachable"), /see kubectl -n istio-system logs istiod-1-1-0-7c9$/);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { HandClock } from "../../base/testing/index.ts";
import { ladderView } from "../views/index.ts";
import { input, pod } from "../views/testing/small-mesh.ts";
import { PilotWatcher } from "./pilot-watcher.ts";

/** Gives these answers to requests of the path, one after the other. Returns the state of the source after each. */
async function told(
  path: string,
  answers: readonly string[],
): Promise<{ readonly proxies: number; readonly problem: string }[]> {
  const ended = new AbortController();
  const found: { readonly proxies: number; readonly problem: string }[] = [];
  let at = -1;
  const watcher: PilotWatcher = new PilotWatcher({
    ask: async (_address, asked) => {
      if (!asked.endsWith(path))
        return await Promise.resolve({ status: asked.endsWith("/roots") ? 500 : 404, text: "" });
      at += 1;
      if (at >= answers.length) ended.abort();
      return await Promise.resolve({ status: 200, text: answers[at] ?? "[]" });
    },
    clock: new HandClock(),
    pods: () => [pod("istio-system", "istiod", { labels: { app: "istiod" } })],
    injectors: () => [],
    isWanted: () => true,
    onChange: () => {
      const { tables } = ladderView(input({}, [], { pilots: watcher.reports }), "*");
      found.push({ proxies: Object.keys(tables.proxies).length, problem: watcher.sources()[0]?.problem ?? "" });
    },
  });
  await watcher.run(ended.signal);
  return found;
}

test("entries of a control plane's pod that are not proxies are skipped, and an answer that is not a list is reported", async () => {
  const odd = [
    null,
    5,
    "x",
    {},
    { id: 5, types: 5 },
    { id: "a.shop", types: { Cluster: null, Listener: { sent: 5, reason: 5 } } },
    { id: null, type: [], namespace: {}, connectedAt: 7, types: [] },
  ];
  for (const path of ["/proxies", "/syncz"]) {
    const [none, list, nothing] = await told(path, ["{}", JSON.stringify(odd), "null"]);
    assert.match(none?.problem ?? "", /^it does not list its proxies: its answer is not a list of proxies/);
    assert.deepEqual([list?.problem, (list?.proxies ?? 0) > 0], ["", true]);
    assert.deepEqual(nothing, { proxies: 0, problem: "" });
  }
});

test("the rollout engine is no proxy of the istiod that it asks for debug pages", async () => {
  const [first] = await told("/syncz", [
    JSON.stringify([{ proxy: "serin-rollout.istio-system" }, { proxy: "web-1.shop", cluster_sent: "1" }]),
    "[]",
  ]);
  assert.equal(first?.proxies, 1);
});

test("a pod that a tenant labels as istiod is not asked, and one behind an injector is, in any namespace", async () => {
  const ended = new AbortController();
  const asked = new Set<string>();
  const pilot = (namespace: string) => pod(namespace, "istiod", { labels: { app: "istiod" } });
  const watcher = new PilotWatcher({
    ask: async ({ namespace }) => {
      asked.add(namespace);
      return await Promise.resolve({ status: 200, text: "[]" });
    },
    clock: new HandClock(),
    pods: () => ["istio-system", "mesh-control", "tenant"].map(pilot),
    injectors: () => [
      {
        metadata: { name: "istio-sidecar-injector" },
        webhooks: [{ name: "x", clientConfig: { service: { name: "istiod", namespace: "mesh-control" } } }],
      },
    ],
    isWanted: () => true,
    onChange: () => ended.abort(),
  });
  await watcher.run(ended.signal);
  assert.deepEqual([...asked].toSorted(), ["istio-system", "mesh-control"]);
});

test("a silent control plane pod that is gone is no longer reported as silent", async () => {
  const ended = new AbortController();
  const silent: number[] = [];
  const watcher: PilotWatcher = new PilotWatcher({
    ask: async () => await Promise.resolve({ status: 500, text: "" }),
    clock: new HandClock(),
    pods: () => (silent.length === 0 ? [pod("istio-system", "istiod", { labels: { app: "istiod" } })] : []),
    injectors: () => [],
    isWanted: () => true,
    onChange: () => {
      silent.push(watcher.reports.silent.length);
      if (silent.length === 2) ended.abort();
    },
  });
  const limit = setTimeout(() => ended.abort(), 5000);
  await watcher.run(ended.signal);
  clearTimeout(limit);
  assert.deepEqual(silent, [1, 0]);
});

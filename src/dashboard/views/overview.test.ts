import assert from "node:assert/strict";
import { test } from "node:test";
import type { Canary } from "../../api/serin/index.ts";
import { configMessagesOf } from "./analysis.ts";
import { configsView, configView, findConfig } from "./configs.ts";
import { noObjects } from "./mesh-objects.ts";
import { overviewView } from "./overview.ts";
import { ladderView } from "./ladder.ts";
import { noPilots, type PilotReports } from "./view-input.ts";
import { config, deployment, input, namespace, pod, service } from "./testing/small-mesh.ts";

const ambient = { annotations: { "ambient.istio.io/redirection": "enabled" }, labels: { app: "web" } };
const broken = config("networking.istio.io/v1", "VirtualService", "shop", "web", {
  hosts: ["web"],
  http: [{ route: [{ destination: { host: "nobody" } }] }],
});
const stuck = {
  kind: "Canary",
  metadata: { name: "web", namespace: "shop" },
  spec: {},
  status: { phase: "Stuck", message: "the route was deleted", completedSteps: [], conditions: [] },
} as unknown as Canary;
const objects = {
  namespaces: [namespace("shop", { "istio.io/dataplane-mode": "ambient" }), namespace("bank")],
  deployments: [deployment("shop", "web", { app: "web" })],
  pods: [pod("shop", "web", { ...ambient, ready: false })],
  services: [service("shop", "web", { app: "web" })],
  configs: [broken],
  canaries: [stuck],
};
const messages = configMessagesOf({ ...noObjects, ...objects }, new Set());

test("problems are listed worst first, with a link to their page", () => {
  const others = ["Waiting", "Paused"].map(
    (phase) =>
      ({ ...stuck, metadata: { name: phase, namespace: "shop" }, status: { ...stuck.status, phase } }) as Canary,
  );
  const { attention } = overviewView(
    input({ ...objects, canaries: [...others, stuck] }, [], { messages }),
    "*",
    "lab",
  ).tables;
  const rows = Object.values(attention);
  assert.deepEqual(
    rows.map(({ level }) => level),
    ["error", "error", "error", "warning", "info"],
  );
  const texts = rows.map(({ text, page }) => `${text} ${page}`);
  assert.ok(
    texts.some((text) => text === "Canary shop/web is stuck: the route was deleted #/rollouts/Canary/shop/web"),
    texts.join("\n"),
  );
  assert.ok(
    texts.some((text) => /^shop\/web: none of 1 pod is ready #\/workloads\/shop\/web$/.test(text)),
    texts.join("\n"),
  );
  assert.ok(
    texts.some((text) =>
      /VirtualService shop\/web: IST0101 .*#\/config\/networking.istio.io%2Fv1\/VirtualService\/shop\/web$/.test(text),
    ),
    texts.join("\n"),
  );
});

test("a source that does not answer is named once, above the view, and not among what needs attention", () => {
  const sources = [{ name: "metrics", ok: false, problem: "no pod has a proxy" }];
  const { head, tables } = overviewView(input({}, [], { sources }), "*", "lab");
  assert.deepEqual([head.sources, tables.attention], [sources, {}]);
});

test("a namespace has its traffic, its health with the reason, and its configuration errors", () => {
  const { namespaces } = overviewView(
    input(objects, [{ from: "bank/pay", to: "shop/web", rate: 4, secured: true }], { messages }),
    "*",
    "lab",
  ).tables;
  const { dataPlane, health, reason, requestRate, mutualTlsShare, configErrors } = namespaces["shop"] ?? {};
  assert.deepEqual(
    [dataPlane, health, reason, requestRate, mutualTlsShare, (configErrors ?? 0) > 0],
    ["ambient", "failing", "web: none of 1 pod is ready", 4, 1, true],
  );
});

test("a namespace whose requests fail is failing, even if no workload is there to answer them", () => {
  const sent = { to: "unknown", service: "shop/web", rate: 4, code: "503", flags: "UH" };
  const shop = (deployments: typeof objects.deployments, pods: typeof objects.pods): unknown => {
    const { health, reason, errorShare } =
      overviewView(input({ ...objects, deployments, pods, configs: [] }, [{ from: "bank/pay", ...sent }]), "*", "lab")
        .tables.namespaces["shop"] ?? {};
    return [health, reason, errorShare];
  };
  const failing = ["failing", "100 % of its requests fail", 1];
  assert.deepEqual(shop([], []), failing);
  const other = [deployment("shop", "other", { app: "other" })];
  assert.deepEqual(shop(other, [pod("shop", "other", { labels: { app: "other" } })]), failing);
});

test("an unreadable namespace is left out", () => {
  const view = overviewView(input(objects, [], { messages }), new Set(["bank"]), "lab");
  assert.deepEqual(
    [Object.keys(view.tables.namespaces), Object.keys(view.tables.attention), view.head.rolloutsUnderWay],
    [["bank"], [], 0],
  );
});

test("a message has the line of its field", () => {
  const view = input(objects, [], { messages });
  const object = findConfig(view.inventory, {
    apiVersion: "networking.istio.io/v1alpha3",
    kind: "VirtualService",
    namespace: "shop",
    name: "web",
  });
  assert.ok(object !== undefined, "the version of the API does not matter");
  const { head, tables } = configView(view, object, "*", true);
  const found = Object.values(tables.messages).find(({ code }) => code === "IST0101");
  const line = head.yaml.split("\n")[(found?.line ?? 0) - 1];
  assert.match(line ?? "", /host: nobody/);
  assert.equal(configsView(view, "", "*").tables.configs["VirtualService shop/web"]?.errors, head.row.errors);
});

test("a broken gateway, ztunnel or control plane counts in its namespace, and has one row of attention", () => {
  const parts = {
    ingress: { istio: "ingress", "service.istio.io/canonical-name": "ingress" },
    ztunnel: { app: "ztunnel" },
    istiod: { app: "istiod" },
  };
  const system = {
    namespaces: [namespace("istio-system")],
    deployments: Object.entries(parts).map(([name, labels]) => deployment("istio-system", name, labels)),
    pods: Object.entries(parts).map(([name, labels]) => pod("istio-system", name, { labels, ready: false })),
  };
  const { head, tables } = overviewView(input(system), "*", "lab");
  const row = tables.namespaces["istio-system"];
  assert.deepEqual([head.workloads, row?.workloads, row?.health], [3, 3, "failing"]);
  const texts = Object.values(tables.attention).map(({ text }) => text);
  for (const part of Object.keys(parts))
    assert.equal(
      texts.filter((text) => text.includes(`istio-system/${part}`)).length,
      1,
      `${part}: ${texts.join("\n")}`,
    );
});

const proxy = (id: string, revision: string) => ({
  id,
  type: "sidecar",
  namespace: "shop",
  node: "a",
  version: "1",
  revision,
  connectedAt: "2026-06-01T11:00:00Z",
  types: {},
});
const silent = { pod: "istiod-2", revision: "canary", problem: "it does not list its proxies: no answer within 3 s" };
const webPod = pod("shop", "web", { labels: { app: "web" } });

test("the counts of proxies are unknown, with the reason, while no control plane answers", () => {
  const countsOf = (pilots: PilotReports) =>
    overviewView(input({ ...objects, pods: [webPod] }, [], { pilots }), "*", "lab").head.proxies;
  const reports = { proxies: [proxy("web.shop", "default")], roots: new Map(), answered: 1, silent: [] };
  const known = { synced: 1, stale: 0, rejected: 0, missing: 0 };
  assert.deepEqual(countsOf(reports), known);
  const problem = `${silent.pod}: ${silent.problem}`;
  assert.equal(countsOf({ ...reports, answered: 0, silent: [silent] }).unknown, problem);
  assert.equal(countsOf({ ...reports, proxies: [], answered: 0 }).unknown, "no control plane has answered");
  assert.deepEqual(countsOf({ ...reports, silent: [silent] }), { ...known, incomplete: problem });
});

test("a proxy does not count as missing while a control plane is silent to which it may be connected", () => {
  const sidecar = { ...webPod, spec: { containers: [{ name: "web" }, { name: "istio-proxy" }] } };
  const missingWith = (pilots: PilotReports): number =>
    overviewView(input({ ...objects, pods: [sidecar] }, [], { pilots }), "*", "lab").head.proxies.missing;
  assert.equal(missingWith({ ...noPilots, answered: 1 }), 1);
  assert.equal(missingWith({ ...noPilots, answered: 1, silent: [silent] }), 0);
});

test("a revision whose control plane is silent has no number of proxies", () => {
  const plane = (revision: string) =>
    deployment("istio-system", `istiod-${revision}`, { app: "istiod", "istio.io/rev": revision });
  const objectsOfMesh = { ...objects, deployments: [plane("default"), plane("canary")] };
  const pilots = { proxies: [proxy("web.shop", "default")], roots: new Map(), answered: 1, silent: [silent] };
  const { revisions } = ladderView(input(objectsOfMesh, [], { pilots }), "*").tables;
  assert.deepEqual(
    Object.values(revisions).map(({ name, proxies }) => [name, proxies]),
    [
      ["default", 1],
      ["canary", undefined],
    ],
  );
});

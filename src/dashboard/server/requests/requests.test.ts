import assert from "node:assert/strict";
import { test } from "node:test";
import { proxySections, type SeriesAnswer, type SeriesRequest } from "../../../api/dashboard/index.ts";
import type { UntypedObject } from "../../../api/index.ts";
import { SerinError } from "../../../base/index.ts";
import { maxLogBytes } from "./read-logs.ts";
import { checkTopic } from "../check-topic.ts";
import { parseTopic } from "../live/parse-topic.ts";
import { requestRig, stoppedClock } from "../testing/request-rig.ts";
import { syntheticIdentity } from "../testing/synthetic-access.ts";

const virtualService =
  "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: shop\n  namespace: prod\nspec:\n  hosts: [shop]\n  http:\n    - route:\n        - destination:\n            host: shopp\n";
const resources = {
  status: 200,
  text: JSON.stringify({ resources: [{ name: "virtualservices", kind: "VirtualService", namespaced: true }] }),
};
const written = {
  status: 200,
  text: JSON.stringify({ metadata: { name: "shop", namespace: "prod", uid: "u" } }),
  headers: { warning: '299 - "weights \\"90\\" do not add up"' },
};
const discovery = "GET /apis/networking.istio.io/v1";
const path = "/apis/networking.istio.io/v1/namespaces/prod/virtualservices/shop";

test("a new object is applied on the server's side, and an edited one replaced in the edited version", async () => {
  const { api, audit, ask } = requestRig({
    answers: { [discovery]: resources, [`PATCH ${path}`]: written, [`PUT ${path}`]: written },
  });
  assert.deepEqual(await ask("POST /api/apply", { yaml: virtualService, dryRun: true }), {
    applied: ["VirtualService prod/shop"],
    warnings: ['weights "90" do not add up'],
  });
  assert.deepEqual(
    audit.records(() => true),
    [],
  );
  await ask("POST /api/apply", { yaml: virtualService, resourceVersion: "42" });
  const [, dry, , put] = api.requests;
  assert.equal(dry?.line, `PATCH ${path}?fieldManager=serin-dashboard&dryRun=All`);
  assert.equal(put?.line, `PUT ${path}?fieldManager=serin-dashboard`);
  assert.equal((put.body as UntypedObject).metadata.resourceVersion, "42");
  assert.deepEqual(
    audit.records(() => true).map(({ what, result }) => [what, result]),
    [["apply VirtualService prod/shop", "done"]],
  );
});

test("the API server's refusal of a write is reported in its own words", async () => {
  const conflict = { status: 409, text: JSON.stringify({ message: "the object has been modified" }) };
  const { audit, ask } = requestRig({ answers: { [discovery]: resources, [`PUT ${path}`]: conflict } });
  await assert.rejects(ask("POST /api/apply", { yaml: virtualService, resourceVersion: "1" }), {
    code: "conflict",
    message: "the object has been modified",
  });
  assert.deepEqual(
    audit.records(() => true).map(({ result, detail }) => [result, detail]),
    [["refused", "the object has been modified"]],
  );
  const second = requestRig({
    answers: { [discovery]: resources, [`PATCH ${path}`]: written, [`PATCH ${path}-2`]: conflict },
  });
  await assert.rejects(
    second.ask("POST /api/apply", {
      yaml: `${virtualService}---\n${virtualService.replace("name: shop", "name: shop-2")}`,
    }),
    {
      code: "conflict",
      message: "VirtualService prod/shop-2: the object has been modified (applied before it: VirtualService prod/shop)",
    },
  );
  await assert.rejects(ask("POST /api/apply", { yaml: "kind: X" }), {
    code: "invalid",
    message: /line 1: apiVersion is required/,
  });
  await assert.rejects(ask("POST /api/apply", { yaml: virtualService.replace("VirtualService", "Nothing") }), {
    code: "invalid",
    message: /no kind Nothing/,
  });
});

test("messages of a YAML have the lines of its fields", async () => {
  const { ask } = requestRig({ objects: [{ apiVersion: "v1", kind: "Namespace", metadata: { name: "prod" } }] });
  const { messages } = await ask("POST /api/validate", { yaml: virtualService });
  const [missing] = messages.filter(({ code }) => code === "IST0101");
  assert.deepEqual([missing?.line, missing?.level], [11, "Error"]);
  assert.match(missing?.message ?? "", /shopp/);
  const { messages: broken } = await ask("POST /api/validate", { yaml: "a: [\nb: 1" });
  assert.equal(broken[0]?.level, "Error");
  const { messages: field } = await ask("POST /api/validate", {
    yaml: virtualService.replace("hosts: [shop]", "hosts: 7"),
  });
  assert.ok(
    field.some(({ line, level }) => line === 7 && level === "Error"),
    JSON.stringify(field),
  );
});

test("anonymous readers may send only shorter YAML, and nobody very many objects", async () => {
  const { ask, identity } = requestRig();
  await assert.rejects(
    ask(
      "POST /api/validate",
      { yaml: `${virtualService}${"# more\n".repeat(20_000)}` },
      { ...identity, own: undefined },
    ),
    { code: "too-long", message: /131072/ },
  );
  await assert.rejects(
    ask("POST /api/validate", {
      yaml: Array.from(
        { length: 501 },
        (_, index) => `---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c${index}}\n`,
      ).join(""),
    }),
    { code: "too-long", message: /500 objects/ },
  );
});

test("a user without rights to read the cluster gets only messages from the YAML, and the answer says so", async () => {
  const { ask } = requestRig({ allows: () => false });
  const { messages } = await ask("POST /api/validate", { yaml: virtualService });
  assert.deepEqual(
    messages.filter(({ code }) => code === "IST0101"),
    [],
  );
  assert.ok(messages.some(({ level, message }) => level === "Info" && /the server did not list/.test(message)));
});

test("a log is limited in bytes: the request is repeated for fewer lines until they fit, and the answer says so", async () => {
  const line = `${"x".repeat(1023)}\n`;
  const lines = Array.from({ length: 5000 }, (_, index) => `${String(index).padStart(8)}${line.slice(8)}`);
  const { api, ask } = requestRig({});
  const asked: number[] = [];
  api.raw = async (_method, path) => {
    const query = new URL(path, "http://localhost").searchParams;
    asked.push(Number(query.get("tailLines")));
    // A kubelet cuts a long answer at its end too.
    return await Promise.resolve({
      status: 200,
      headers: {},
      text: lines
        .slice(-Number(query.get("tailLines")))
        .join("")
        .slice(0, Number(query.get("limitBytes"))),
    });
  };
  const answer = await ask("GET /api/logs", {
    namespace: "prod",
    pod: "shop-1",
    container: "app",
    tailLines: 5_000,
    previous: true,
  });
  assert.ok(
    answer.truncated &&
      answer.text.length < maxLogBytes &&
      lines.join("").endsWith(answer.text) &&
      answer.text.length > maxLogBytes / 4,
    String(answer.text.length),
  );
  assert.deepEqual(asked, [5000, 1024]);
  assert.deepEqual(await ask("GET /api/logs", { namespace: "prod", pod: "shop-1", tailLines: 1 }), {
    text: lines.at(-1),
    truncated: true,
  });
});

test("a log's bounds and names are checked before any request", async () => {
  const { ask } = requestRig({});
  await assert.rejects(ask("GET /api/logs", { namespace: "prod", pod: "shop-1", tailLines: 5_001 }), {
    code: "invalid",
  });
  await assert.rejects(ask("GET /api/logs", { namespace: "prod", pod: "../../nodes" }), { code: "not-found" });
});

const proxyPod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "shop-1", namespace: "prod" },
  spec: { containers: [{ name: "istio-proxy" }] },
  status: { phase: "Running" },
} as unknown as UntypedObject;
const dump = JSON.stringify({
  configs: [
    {
      "@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump",
      dynamic_active_clusters: [
        {
          cluster: {
            name: "outbound|80|v1|web.prod.svc.cluster.local",
            type: "EDS",
            transport_socket: { private_key: { inline_string: "KEY" } },
          },
        },
      ],
    },
    {
      "@type": "type.googleapis.com/envoy.admin.v3.ListenersConfigDump",
      dynamic_listeners: [
        {
          active_state: {
            listener: {
              name: "0.0.0.0_80",
              address: { socket_address: { address: "0.0.0.0", port_value: 80 } },
              filter_chains: [{}],
            },
          },
        },
      ],
    },
  ],
});

test("a proxy's sections are tables with the whole resource in each row, without keys", async () => {
  const { ask } = requestRig({ objects: [proxyPod] }, { dump });
  const clusters = await ask("GET /api/proxy", { namespace: "prod", pod: "shop-1", section: "clusters" });
  assert.deepEqual(clusters.rows, [["web.prod.svc.cluster.local", "80", "v1", "outbound", "EDS", ""]]);
  assert.match(clusters.details[0] ?? "", /privateKey: "\[redacted\]"/);
  const listeners = await ask("GET /api/proxy", { namespace: "prod", pod: "shop-1", section: "listeners" });
  assert.deepEqual(listeners.rows, [["0.0.0.0", "80", "UNKNOWN", "ALL", "Non-HTTP/Non-TCP"]]);
  await assert.rejects(ask("GET /api/proxy", { namespace: "prod", pod: "shop-1", section: "workloads" }), {
    code: "not-found",
  });
  await assert.rejects(ask("GET /api/proxy", { namespace: "prod", pod: "gone", section: "clusters" }), {
    code: "not-found",
  });
});

test("a proxy with a malformed answer is reported as unavailable", async () => {
  const { ask } = requestRig({ objects: [proxyPod] }, { dump: "<html>" });
  await assert.rejects(ask("GET /api/proxy", { namespace: "prod", pod: "shop-1", section: "clusters" }), {
    code: "unavailable",
    message: /not JSON/,
  });
});

test("a proxy's JSON of an unexpected form causes no internal fault", async () => {
  const ztunnelPod = { ...proxyPod, metadata: { ...proxyPod.metadata, labels: { app: "ztunnel" } } };
  const odd = [
    "null",
    "5",
    "[]",
    "[null]",
    '"x"',
    '{"configs":5}',
    '{"configs":[null,{"@type":5}]}',
    '{"configs":[{"@type":"x.ClustersConfigDump","dynamicActiveClusters":5}]}',
    '{"workloads":5,"services":5,"policies":5,"certificates":5}',
    '{"workloads":[null],"services":[null],"policies":[null],"certificates":[null]}',
  ];
  for (const text of odd) {
    for (const pod of [proxyPod, ztunnelPod]) {
      for (const section of proxySections) {
        const asked = requestRig({ objects: [pod] }, { dump: text }).ask("GET /api/proxy", {
          namespace: "prod",
          pod: "shop-1",
          section,
        });
        await asked.catch((error: unknown) =>
          assert.ok(error instanceof SerinError && error.kind !== "internal", `${text} ${section}: ${String(error)}`),
        );
      }
    }
  }
});

test("what-if results are withheld without the rights that they need", async () => {
  const { ask } = requestRig({ allows: ({ resource }) => resource !== "nodes" });
  const answer = await ask("POST /api/what-if", { yaml: virtualService });
  assert.deepEqual([answer.compared, answer.proxies], [0, []]);
  assert.match(answer.incomplete, /right to list in all namespaces: nodes/);
});

test("objects may be followed with the right to get them, and workloads with the right to list their namespace's pods", async () => {
  const { identity } = requestRig({
    allows: ({ resource, namespace }) => resource === "virtualservices" && namespace === "prod",
  });
  const limited = { ...identity, namespaces: async () => await Promise.resolve(new Set(["prod"])) };
  await checkTopic(
    parseTopic("config?apiVersion=networking.istio.io%2Fv1&kind=VirtualService&namespace=prod&name=shop"),
    limited,
  );
  await checkTopic(parseTopic("workload?namespace=prod&name=shop"), limited);
  for (const refused of [
    "config?apiVersion=networking.istio.io%2Fv1&kind=VirtualService&namespace=dev&name=shop",
    "rollout?kind=Canary&namespace=prod&name=shop",
    "workload?namespace=dev&name=shop",
  ]) {
    await assert.rejects(checkTopic(parseTopic(refused), limited), { code: "forbidden" }, refused);
  }
  await assert.rejects(checkTopic(parseTopic("config?apiVersion=v1&kind=Secret&namespace=prod&name=shop"), limited), {
    code: "not-found",
  });
});

test("a chart has at most one point a second, and a range even for a moment long ago", async () => {
  const asked: SeriesRequest[] = [];
  const series = async (request: SeriesRequest): Promise<SeriesAnswer> => {
    asked.push(request);
    return await Promise.resolve({ timesMs: [], values: [] });
  };
  const rig = requestRig({}, { series });
  const ask = async (fields: object): Promise<unknown> =>
    await rig.ask("GET /api/series", { measure: "requestRate", ...fields }, syntheticIdentity());
  await ask({ fromMs: stoppedClock.nowMs() - 5_000, points: 1_000 });
  await ask({ fromMs: stoppedClock.nowMs() - 1, points: 1_000 });
  await ask({ toMs: 5_000, points: 100 });
  assert.deepEqual(
    asked.map(({ fromMs, points }) => [fromMs, points]),
    [
      [stoppedClock.nowMs() - 5_000, 6],
      [stoppedClock.nowMs() - 1, 2],
      [0, 6],
    ],
  );
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { Duplex } from "node:stream";
import { proxySections, type SeriesAnswer, type SeriesRequest } from "../../../api/dashboard/index.ts";
import type { UntypedObject } from "../../../api/index.ts";
import { SerinError, silentLogger, systemClock, userError } from "../../../base/index.ts";
import type { OwnCredentials } from "../access/identity.ts";
import { AuditLog } from "../audit-log.ts";
import { maxLogBytes } from "./read-logs.ts";
import { checkTopic } from "../check-topic.ts";
import { parseTopic } from "../live/parse-topic.ts";
import { FakeKubeApi, type FakeKubeApiOptions } from "../testing/fake-kube-api.ts";
import { syntheticIdentity } from "../testing/synthetic-access.ts";
import { createHandlers } from "./create-handlers.ts";
import { RequestFields } from "./request-fields.ts";
import type { RequestHandlers } from "./request-handlers.ts";

const config = { server: "https://10.0.0.1:6443", context: "c", namespace: "dev" };
const clock = { ...systemClock, nowMs: () => Date.parse("2026-01-01T12:00:00Z") };

/** The stream to an HTTP server that answers every request with the same response. */
function answering(status: number, body: string): Duplex {
  const stream = new Duplex({
    read: () => undefined,
    write: (_chunk, _encoding, done) => {
      stream.push(
        `HTTP/1.1 ${status} OK\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
      );
      stream.push(null);
      done();
    },
  });
  return stream;
}

function rig(options: FakeKubeApiOptions = {}, dump = "{}") {
  const api = new FakeKubeApi(options);
  const audit = new AuditLog({ clock, log: silentLogger });
  const handlers = createHandlers({
    measurements: { series: async () => await Promise.resolve({ timesMs: [], values: [] }) },
    audit,
    clock,
    log: silentLogger,
    istioNamespace: "istio-system",
    releaseDirectory: "/",
    env: {},
    ended: new AbortController().signal,
  });
  const own: OwnCredentials = {
    client: api,
    config,
    connectToPod: async () => await Promise.resolve(answering(200, dump)),
  };
  const identity = syntheticIdentity({
    own,
    reading: api,
    may: async (right) => await Promise.resolve(api.allows(right)),
  });
  const ask = async <Name extends keyof RequestHandlers>(
    name: Name,
    fields: object,
    who = identity,
    signal = new AbortController().signal,
  ): Promise<Awaited<ReturnType<RequestHandlers[Name]>>> => {
    const handler = handlers[name] as (
      fields: RequestFields,
      who: typeof identity,
      signal: AbortSignal,
    ) => Promise<unknown>;
    return (await handler(RequestFields.ofJson(JSON.stringify(fields)), who, signal)) as Awaited<
      ReturnType<RequestHandlers[Name]>
    >;
  };
  return { api, audit, ask, identity };
}

const canary = (status: object = {}, spec: object = {}): UntypedObject => ({
  apiVersion: "rollout.serin.dev/v1alpha1",
  kind: "Canary",
  metadata: { name: "shop", namespace: "prod", resourceVersion: "7", uid: "u" },
  spec: { target: {}, approvals: [], paused: false, abort: false, ...spec },
  status: {
    phase: "Paused",
    conditions: [],
    completedSteps: [],
    step: { id: "step-2", title: "20 %", startedAt: "2026-01-01T11:00:00Z", checks: [] },
    ...status,
  },
});
const orderOf = (action: string, more: object = {}): object => ({
  kind: "Canary",
  namespace: "prod",
  name: "shop",
  action,
  why: "",
  step: "",
  ...more,
});

test("orders are written like the command line's, in the user's name, and audited", async () => {
  const { api, audit, ask } = rig({ objects: [canary()] });
  await ask("POST /api/action", orderOf("approve", { why: "looks good", step: "step-2" }));
  await ask("POST /api/action", orderOf("pause"));
  await ask("POST /api/action", orderOf("rollback"));
  const orderedBy = { by: "ana@example.org", why: "", at: "2026-01-01T12:00:00.000Z" };
  assert.deepEqual(api.patches, [
    {
      metadata: { resourceVersion: "7" },
      spec: {
        approvals: [{ step: "step-2", by: "ana@example.org", why: "looks good", at: "2026-01-01T12:00:00.000Z" }],
      },
    },
    { metadata: { uid: "u" }, spec: { paused: true, orderedBy } },
    { metadata: { uid: "u" }, spec: { abort: true, paused: false, orderedBy } },
  ]);
  assert.deepEqual(
    audit.records(() => true).map(({ user, what, result, detail }) => [user, what, result, detail]),
    [
      ["ana@example.org", "rollback Canary prod/shop", "done", ""],
      ["ana@example.org", "pause Canary prod/shop", "done", ""],
      ["ana@example.org", "approve Canary prod/shop", "done", "looks good"],
    ],
  );
  assert.deepEqual(
    api.objects.filter(({ kind, metadata }) => kind === undefined && metadata.name?.startsWith("shop.") === true)
      .length,
    3,
    "each order is an Event of its object",
  );
});

test("an order for another step is a conflict, one without the right is forbidden, and neither writes anything", async () => {
  const { api, audit, ask } = rig({ objects: [canary()] });
  await assert.rejects(ask("POST /api/action", orderOf("approve", { step: "step-1" })), { code: "conflict" });
  await assert.rejects(ask("POST /api/action", orderOf("resume")), { code: "conflict" });
  await assert.rejects(ask("POST /api/action", orderOf("approve", { name: "gone" })), { code: "not-found" });
  api.allows = ({ verb }) => verb !== "patch";
  await assert.rejects(ask("POST /api/action", orderOf("pause")), {
    code: "forbidden",
    message: /you may not patch canaries in namespace prod/,
  });
  await assert.rejects(ask("POST /api/action", orderOf("pause"), syntheticIdentity({ authentication: "anonymous" })), {
    code: "forbidden",
    message: /own account/,
  });
  assert.deepEqual(api.patches, []);
  // Refused requests without a login are not recorded, so that they do not displace other records.
  assert.deepEqual(
    audit.records(() => true).map(({ user, result }) => [user, result]),
    Array.from({ length: 4 }, () => ["ana@example.org", "refused"]),
  );
});

test("a full promotion does not overrule a pause that somebody else has ordered meanwhile", async () => {
  const { api, ask } = rig({ objects: [canary()] });
  const read = api.get.bind(api);
  api.get = async (...given) => {
    const seen = await read(...given);
    const { metadata } = canary();
    api.objects.splice(0, 1, { ...canary({}, { paused: true }), metadata: { ...metadata, resourceVersion: "8" } });
    return seen;
  };
  await assert.rejects(ask("POST /api/action", orderOf("promote")), {
    code: "conflict",
    message: "shop: somebody else has paused it meanwhile",
  });
  assert.equal(api.patches.length, 1, "the server has refused the only one");
});

test("a full promotion does not overrule a pause that the user has not seen when confirming", async () => {
  const { api, ask } = rig({ objects: [canary({ run: 3 }, { paused: true })] });
  const order = (action: string, seen: object): object => orderOf(action, { step: "step-2", run: 3, ...seen });
  await assert.rejects(ask("POST /api/action", order("promote", { paused: false })), {
    code: "conflict",
    message: "shop: somebody else has paused it meanwhile",
  });
  await assert.rejects(ask("POST /api/action", orderOf("promote", {})), { code: "conflict" });
  assert.deepEqual(api.patches, []);
  await ask("POST /api/action", order("promote", { paused: true }));
  await ask("POST /api/action", order("rollback", { paused: false }));
  assert.equal(api.patches.length, 2, "a rollback needs no look at a pause");
});

test("an order for an earlier run's step does not apply to the same step of the next run", async () => {
  const { api, ask } = rig({ objects: [canary({ run: 4 })] });
  for (const action of ["approve", "promote"])
    await assert.rejects(ask("POST /api/action", orderOf(action, { step: "step-2", run: 3 })), {
      code: "conflict",
      message: "shop: another run has begun meanwhile",
    });
  assert.deepEqual(api.patches, []);
  await ask("POST /api/action", orderOf("promote", { step: "step-2", run: 4 }));
  assert.equal(api.patches.length, 1);
});

test("no order for a rollout applies to another one that was created with its name, not even in the middle", async () => {
  const { api, ask } = rig({ objects: [canary({ run: 1 })] });
  const remade = { code: "conflict", message: /^shop: it was deleted, and somebody has created another one/ };
  for (const action of ["approve", "promote", "pause", "rollback", "retry"])
    await assert.rejects(ask("POST /api/action", orderOf(action, { run: 1, uid: "earlier" })), remade, action);
  assert.deepEqual(api.patches, []);
  await ask("POST /api/action", orderOf("pause", { uid: "u" }));
  // The server checks the uid of the patch.
  api.patchMerge = async () => await Promise.reject(userError("conflict", "Precondition failed: UID in precondition"));
  for (const action of ["pause", "rollback"])
    await assert.rejects(ask("POST /api/action", orderOf(action, { uid: "u" })), remade, action);
});

test("an approval of a step that waits does not overrule a failure that the user has not seen", async () => {
  const { api, ask } = rig({ objects: [canary({ phase: "Stuck", pauseReason: "check", message: "20 %: 5 errors" })] });
  for (const action of ["approve", "promote"])
    await assert.rejects(ask("POST /api/action", orderOf(action, { step: "step-2" })), {
      code: "conflict",
      message: "shop: it has got stuck meanwhile: 20 %: 5 errors",
    });
  assert.deepEqual(api.patches, []);
  await ask("POST /api/action", orderOf("approve", { step: "step-2", stuck: true }));
  assert.equal(api.patches.length, 1);
});

test("a retry recreates an ended rollout without its orders", async () => {
  const { api, ask } = rig({ objects: [canary({ phase: "RolledBack" }, { abort: true })] });
  await ask("POST /api/action", orderOf("retry"));
  const [again] = api.objects.filter(({ kind }) => kind === "Canary");
  assert.deepEqual(again?.["spec"], { target: {} });
  assert.equal(again.metadata.resourceVersion, undefined);
});

test("of two retries that have both seen the deletion, the second does not replace the run of the first", async () => {
  const { api, ask } = rig({ objects: [canary({ phase: "RolledBack" })] });
  const create = api.create.bind(api);
  api.create = async (kind, object, options) => {
    if (options?.dryRun !== true && kind.kind === "Canary") throw userError("already-exists", "shop already exists");
    return await create(kind, object, options);
  };
  await assert.rejects(ask("POST /api/action", orderOf("retry")), {
    code: "conflict",
    message: "shop: somebody else has started it again meanwhile",
  });
  assert.deepEqual(api.objects.filter(({ kind }) => kind === "Canary").length, 0);
});

test("a rollout that the server would refuse to recreate is not deleted", async () => {
  const { api, ask } = rig({ objects: [canary({ phase: "RolledBack" })] });
  api.admits = ({ kind }) => kind !== "Canary";
  await assert.rejects(ask("POST /api/action", orderOf("retry")));
  assert.equal(api.objects.filter(({ kind }) => kind === "Canary").length, 1);
});

test("a deleted rollout is recreated for a retry, even if the user has left", async () => {
  const { api, ask } = rig({ objects: [canary({ phase: "RolledBack" })] });
  const left = new AbortController();
  // A finalizer delays the deletion, and meanwhile the page is closed.
  const remove = api.delete.bind(api);
  api.delete = async (...given) => {
    left.abort();
    setTimeout(() => void remove(...given), 10);
    await Promise.resolve();
  };
  await ask("POST /api/action", orderOf("retry"), undefined, left.signal);
  assert.equal(api.objects.filter(({ kind }) => kind === "Canary").length, 1);
});

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
  const { api, audit, ask } = rig({
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
  const { audit, ask } = rig({ answers: { [discovery]: resources, [`PUT ${path}`]: conflict } });
  await assert.rejects(ask("POST /api/apply", { yaml: virtualService, resourceVersion: "1" }), {
    code: "conflict",
    message: "the object has been modified",
  });
  assert.deepEqual(
    audit.records(() => true).map(({ result, detail }) => [result, detail]),
    [["refused", "the object has been modified"]],
  );
  const second = rig({
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
  const { ask } = rig({ objects: [{ apiVersion: "v1", kind: "Namespace", metadata: { name: "prod" } }] });
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
  const { ask, identity } = rig();
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
  const { ask } = rig({ allows: () => false });
  const { messages } = await ask("POST /api/validate", { yaml: virtualService });
  assert.deepEqual(
    messages.filter(({ code }) => code === "IST0101"),
    [],
  );
  assert.ok(messages.some(({ level, message }) => level === "Info" && /you may not read/.test(message)));
});

test("a log is limited in bytes: the request is repeated for fewer lines until they fit, and the answer says so", async () => {
  const line = `${"x".repeat(1023)}\n`;
  const lines = Array.from({ length: 5000 }, (_, index) => `${String(index).padStart(8)}${line.slice(8)}`);
  const { api, ask } = rig({});
  const asked: number[] = [];
  api.raw = async (_method, path) => {
    const query = new URL(path, "http://localhost").searchParams;
    asked.push(Number(query.get("tailLines")));
    // Like a kubelet, cut a long answer at its end.
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
  const { ask } = rig({});
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
  const { ask } = rig({ objects: [proxyPod] }, dump);
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
  const { ask } = rig({ objects: [proxyPod] }, "<html>");
  await assert.rejects(ask("GET /api/proxy", { namespace: "prod", pod: "shop-1", section: "clusters" }), {
    code: "unavailable",
    message: /not JSON/,
  });
});

test("a proxy's JSON of an unexpected form is reported, and is no internal fault", async () => {
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
        const asked = rig({ objects: [pod] }, text).ask("GET /api/proxy", {
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
  const { ask } = rig({ allows: ({ resource }) => resource !== "nodes" });
  const answer = await ask("POST /api/what-if", { yaml: virtualService });
  assert.deepEqual([answer.compared, answer.proxies], [0, []]);
  assert.match(answer.incomplete, /right to list in all namespaces: nodes/);
});

test("objects may be followed with the right to get them, and workloads with the right to list their namespace's pods", async () => {
  const { identity } = rig({
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
  const handlers = createHandlers({
    measurements: { series },
    audit: new AuditLog({ clock, log: silentLogger }),
    clock,
    log: silentLogger,
    istioNamespace: "istio-system",
    releaseDirectory: "/",
    env: {},
    ended: new AbortController().signal,
  });
  const ask = async (fields: object): Promise<unknown> =>
    await handlers["GET /api/series"](
      RequestFields.ofJson(JSON.stringify({ measure: "requestRate", ...fields })),
      syntheticIdentity(),
      new AbortController().signal,
    );
  await ask({ fromMs: clock.nowMs() - 5_000, points: 1_000 });
  await ask({ fromMs: clock.nowMs() - 1, points: 1_000 });
  await ask({ toMs: 5_000, points: 100 });
  assert.deepEqual(
    asked.map(({ fromMs, points }) => [fromMs, points]),
    [
      [clock.nowMs() - 5_000, 6],
      [clock.nowMs() - 1, 2],
      [0, 6],
    ],
  );
});

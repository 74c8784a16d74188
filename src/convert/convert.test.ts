import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parseAllDocuments } from "yaml";
import type { UntypedObject } from "../api/index.ts";
import { parseCanary, parseCheck } from "../api/serin/index.ts";
import { celOf } from "./condition.ts";
import { durationSeconds } from "./conversion.ts";
import { convertRollouts } from "./convert.ts";

function converted(file: string): ReturnType<typeof convertRollouts> {
  const text = readFileSync(join(import.meta.dirname, "testing", file), "utf8");
  return convertRollouts(parseAllDocuments(text).map((document) => document.toJS() as UntypedObject));
}

function find(objects: readonly UntypedObject[], kind: string, name: string): { readonly spec: unknown } {
  const found = objects.find((object) => object.kind === kind && object.metadata.name === name);
  assert.ok(found, `${kind} ${name}`);
  return found as unknown as { spec: unknown };
}

for (const file of ["argo.yaml", "flagger.yaml"]) {
  test(`${file}: its parser accepts every converted object`, () => {
    for (const object of converted(file).objects) {
      const parsed =
        object.kind === "Canary" ? parseCanary(object) : object.kind === "Check" ? parseCheck(object) : { errors: [] };
      assert.deepEqual(parsed.errors, [], JSON.stringify(object));
    }
  });
}

test("a Rollout becomes a Deployment with its steps in order, and each metric with its arguments becomes a Check", () => {
  const { objects } = converted("argo.yaml");
  assert.deepEqual(
    objects.map(({ kind, metadata }) => `${kind} ${metadata.name}`),
    [
      "Deployment shop",
      "Check shop-errors-success",
      "Check shop-errors-lookup",
      "Check shop-errors-success-2",
      "Canary shop",
      "Canary blue",
    ],
  );
  assert.deepEqual(find(objects, "Canary", "shop").spec, {
    target: { deployment: { name: "shop", service: "shop", previewService: "shop-canary" } },
    steps: [
      { name: "beta", match: { headers: [{ name: "x-beta", type: "Exact", value: "1" }] } },
      { weight: 10 },
      { pause: { durationSeconds: 90 } },
      { scale: { percent: 25 } },
      { mirror: { percent: 20 } },
      { checks: [{ ref: "shop-errors-success-2" }, { ref: "shop-errors-lookup" }] },
      { experiment: { durationSeconds: 300, replicas: 2 } },
      { pause: { untilApproved: true } },
      { weight: 100 },
    ],
    checks: [{ ref: "shop-errors-success" }, { ref: "shop-errors-lookup" }],
    scaleDownDelaySeconds: 60,
    dynamicStableScale: true,
    settleTimeoutSeconds: 120,
  });
  assert.deepEqual(find(objects, "Check", "shop-errors-success").spec, {
    type: "query",
    query: { provider: "prometheus", address: "http://prometheus:9090", expression: 'rate(ok{service="shop"}[1m])' },
    intervalSeconds: 30,
    count: 5,
    failureLimit: 2,
    passWhen: "result >= 0.95 && result <= 1.0",
  });
});

test("each dropped field of a Rollout is reported with a remedy", () => {
  const { notes } = converted("argo.yaml");
  assert.deepEqual(notes.map(({ object, path }) => `${object} ${path}`).toSorted(), [
    "AnalysisTemplate shop/errors spec.metrics[1]",
    "AnalysisTemplate shop/errors spec.metrics[1].successCondition",
    "AnalysisTemplate shop/errors spec.metrics[2].provider.web.jsonPath",
    "AnalysisTemplate shop/errors spec.metrics[3].provider",
    "Rollout shop/blue spec.strategy.blueGreen.prePromotionAnalysis.templates[0].templateName",
    "Rollout shop/blue spec.workloadRef",
    "Rollout shop/shop spec.rollbackWindow",
    "Rollout shop/shop spec.strategy.canary.analysis.startingStep",
    "Rollout shop/shop spec.strategy.canary.canaryService",
    "Rollout shop/shop spec.strategy.canary.steps[4].setMirrorRoute.match",
    "Rollout shop/shop spec.strategy.canary.trafficRouting.istio.virtualService",
    "Rollout shop/shop spec.strategy.canary.trafficRouting.managedRoutes",
    "Rollout shop/shop spec.template",
  ]);
  for (const { message } of notes) assert.match(message, /: |; /);
});

test("Flagger's Canary becomes the same weights, thresholds, gates and templates", () => {
  const { objects, notes } = converted("flagger.yaml");
  assert.deepEqual(find(objects, "Canary", "podinfo").spec, {
    target: {
      deployment: {
        name: "podinfo",
        service: "podinfo",
        port: 9898,
        previewService: "podinfo-canary",
        gateways: ["istio-system/public-gateway"],
      },
    },
    steps: [
      { weight: 20, pause: { durationSeconds: 60 } },
      { weight: 40, pause: { durationSeconds: 60 } },
      { weight: 60, pause: { durationSeconds: 60 } },
      {
        checks: [
          {
            name: "gate",
            type: "webhook",
            intervalSeconds: 60,
            webhook: { url: "http://gate/approve" },
            failureLimit: 10_000,
          },
        ],
      },
      { weight: 100 },
    ],
    checks: [
      { ref: "podinfo-request-success-rate" },
      { ref: "podinfo-request-duration" },
      { ref: "podinfo-not-found" },
      {
        name: "load-test",
        type: "webhook",
        intervalSeconds: 60,
        webhook: {
          url: "http://flagger-loadtester.test/",
          timeoutSeconds: 5,
          body: { metadata: { cmd: "hey -z 1m http://podinfo:9898/" } },
        },
      },
    ],
    sessionAffinity: { cookieName: "flagger-cookie", maxAgeSeconds: 21_600 },
    notifications: [{ url: "http://events/" }],
    settleTimeoutSeconds: 60,
  });
  assert.deepEqual(find(objects, "Check", "podinfo-request-success-rate").spec, {
    type: "request-success-rate",
    maxErrorRate: 0.01,
    intervalSeconds: 60,
    failureLimit: 9,
  });
  const query = (find(objects, "Check", "podinfo-not-found").spec as { query: { expression: string } }).query
    .expression;
  assert.match(
    query,
    /"\{\{ canary\.namespace \}\}", destination_workload=~"\{\{ canary\.workload \}\}", response_code="404"\}\[\{\{ window \}\}\]/,
  );
  assert.deepEqual(find(objects, "Canary", "ab").spec, {
    target: { deployment: { name: "ab", service: "ab", previewService: "ab-canary" } },
    steps: [
      {
        match: {
          headers: [{ name: "user-agent", type: "Regex", value: ".*Firefox.*" }],
          cookies: [{ name: "canary", value: "always" }],
        },
        iterations: { count: 10, intervalSeconds: 30 },
      },
      { weight: 100 },
    ],
  });
  const named = notes.map(({ path }) => path);
  for (const path of [
    "spec.service.retries",
    "spec.service.hosts",
    "spec.autoscalerRef",
    "spec.analysis.webhooks[2].type",
    "metadata.name",
  ])
    assert.ok(named.includes(path), path);
});

const objectsOf = (text: string): UntypedObject[] =>
  parseAllDocuments(text).map((document) => document.toJS() as UntypedObject);

test("a Rollout without a Service gets the one that selects its pods, and the notes say so", () => {
  const rollout = `
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: { name: web }
spec:
  template: { metadata: { labels: { app: shop, tier: web } } }
  strategy: { canary: { steps: [{ setWeight: 20 }] } }
`;
  const service = (name: string, selector: string): string =>
    `\n---\napiVersion: v1\nkind: Service\nmetadata: { name: ${name} }\nspec: { selector: ${selector} }\n`;
  const serviceOf = (text: string): readonly unknown[] => {
    const { objects, notes } = convertRollouts(objectsOf(text));
    const { spec } = find(objects, "Canary", "web") as { spec: { target: { deployment: { service: string } } } };
    const note = notes.find(({ path }) => path === "spec.strategy")?.message ?? "";
    return [spec.target.deployment.service, /got (target\.deployment\.service: .*?); /.exec(note)?.[1]];
  };
  const preview = service("web", "{ app: preview }");
  assert.deepEqual(serviceOf(`${rollout}${preview}${service("shop", "{ app: shop }")}`), [
    "shop",
    "target.deployment.service: shop, which selects its pods",
  ]);
  assert.deepEqual(serviceOf(`${rollout}${service("a", "{ app: shop }")}${service("b", "{ tier: web }")}`), [
    "web",
    "target.deployment.service: web, the Rollout's own name",
  ]);
});

test("the replicas of a Rollout that names a Deployment belong into that Deployment", () => {
  const { notes } = convertRollouts(
    objectsOf(`
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: { name: web }
spec:
  replicas: 3
  workloadRef: { apiVersion: apps/v1, kind: Deployment, name: web }
  strategy: { canary: { stableService: web, trafficRouting: { appMesh: {} } } }
`),
  );
  assert.deepEqual(
    notes.map(({ path, message }) => `${path} ${message.split(/[:,]/)[1]}`),
    [
      "spec.workloadRef  the Rollout ran the pods",
      "spec.replicas  set it in the Deployment",
      "spec.strategy.canary.trafficRouting.appMesh  the mesh splits the traffic",
    ],
  );
});

test("Flagger's threshold is the least success rate and the most of other metrics, and a range counts instead of it", () => {
  const checksOf = (analysis: string): unknown[] =>
    convertRollouts(
      objectsOf(`
apiVersion: flagger.app/v1beta1
kind: Canary
metadata: { name: web }
spec:
  targetRef: { kind: Deployment, name: web }
  analysis: { stepWeight: 50, metrics: [${analysis}] }
`),
    ).objects.flatMap(({ kind, spec }) => (kind === "Check" ? [spec] : []));
  const every = { intervalSeconds: 60 };
  assert.deepEqual(
    checksOf("{ name: request-success-rate, threshold: 99 }, { name: request-duration, threshold: 500 }"),
    [
      { type: "request-success-rate", maxErrorRate: 0.01, ...every },
      { type: "request-duration", quantiles: [0.99], maxMs: 500, ...every },
    ],
  );
  assert.deepEqual(checksOf("{ name: request-success-rate, threshold: 1, thresholdRange: { min: 99 } }"), [
    { type: "request-success-rate", maxErrorRate: 0.01, ...every },
  ]);
});

test("weights rise until Flagger's maxWeight is reached or passed, and iterations replace them", () => {
  const stepsOf = (analysis: string): readonly unknown[] => {
    const { objects, notes } = convertRollouts(
      objectsOf(`
apiVersion: flagger.app/v1beta1
kind: Canary
metadata: { name: web }
spec: { targetRef: { kind: Deployment, name: web }, analysis: { interval: 5s, ${analysis} } }
`),
    );
    const { spec } = find(objects, "Canary", "web") as {
      spec: { steps: readonly { weight?: number; preview?: boolean }[] };
    };
    const isNoted = notes.some(({ path }) => path === "spec.analysis.iterations");
    return [...spec.steps.map(({ weight, preview }) => (preview === true ? "preview" : weight)), isNoted];
  };
  assert.deepEqual(stepsOf("stepWeight: 20, maxWeight: 50"), [20, 40, 60, 100, false]);
  assert.deepEqual(stepsOf("stepWeight: 20, maxWeight: 40"), [20, 40, 100, false]);
  assert.deepEqual(stepsOf("stepWeight: 40"), [40, 80, 100, false]);
  assert.deepEqual(stepsOf("stepWeight: 20, maxWeight: 40, iterations: 3"), ["preview", 100, true]);
  assert.deepEqual(stepsOf("iterations: 3"), ["preview", 100, false]);
});

test("with skipAnalysis, Flagger's Canary gives a new version all requests at once", () => {
  const { objects, notes } = convertRollouts(
    objectsOf(`
apiVersion: flagger.app/v1beta1
kind: Canary
metadata: { name: web }
spec:
  targetRef: { kind: Deployment, name: web }
  skipAnalysis: true
  analysis: { stepWeight: 50, metrics: [{ name: request-success-rate, thresholdRange: { min: 99 } }] }
`),
  );
  assert.deepEqual(find(objects, "Canary", "web").spec, {
    target: { deployment: { name: "web", service: "web", previewService: "web-canary" } },
    steps: [{ weight: 100 }],
  });
  assert.equal(objects.length, 1);
  assert.ok(notes.some(({ path }) => path === "spec.skipAnalysis"));
});

test("an object that is not a rollout is reported by name", () => {
  assert.deepEqual(
    convertRollouts([{ apiVersion: "v1", kind: "Pod", metadata: { name: "x" } }]).notes.map(
      ({ object, path }) => `${object} ${path}`,
    ),
    ["Pod x kind"],
  );
});

test("a condition becomes CEL, or the notes give the reason", () => {
  assert.deepEqual(celOf("result[0] < 5 || !(result[0] in [1, 2])"), {
    problem: "indexes a list of results; in Serin, a query has one result",
  });
  assert.deepEqual(celOf("result.status == 'ok' and not (result.count > 3)"), {
    cel: "result.status == 'ok' && ! (result.count > 3.0)",
  });
  assert.deepEqual(celOf("isNaN(result)"), { problem: "uses isNaN, which Serin's CEL does not have" });
  assert.deepEqual(celOf("constructor(result)"), { problem: "uses constructor, which Serin's CEL does not have" });
  assert.deepEqual(celOf("result ~ 1"), { problem: "has characters that the conversion does not support" });
});

test("durations of both tools are in seconds", () => {
  assert.deepEqual(["90", 90, "1m30s", "1.5m", "500ms", "1d", "soon", undefined].map(durationSeconds), [
    90,
    90,
    90,
    90,
    1,
    86_400,
    undefined,
    undefined,
  ]);
});

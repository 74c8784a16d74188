// These tests check that every value of Istio's charts has an effect here, or that a warning or an error of the
// installer and the notes of our own charts name it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { parse } from "yaml";
import chartValues from "#generated/install/chart-values.json" with { type: "json" };
import type { Pod } from "../../src/api/kubernetes/index.ts";
import type { UntypedObject } from "../../src/api/index.ts";
import { isTree, messageOf } from "../../src/base/index.ts";
import { canonicalQuantity } from "../../src/cluster/schema/quantity.ts";
import { ChartRenderer } from "../../src/cli/charts/render-chart.ts";
import { readGatewayPodValues } from "../../src/controlplane/gateways/index.ts";
import { injectPod, readInjectionSettings, readMeshForInjection } from "../../src/inject/index.ts";
import { defaultValues } from "../../src/install/default-values.ts";
import { mergeTrees } from "../../src/install/merge.ts";
import {
  renderCharts,
  renderDefaultRevision,
  renderInstall,
  resolveSettings,
  type Chart,
} from "../../src/install/index.ts";
import { operatorPathOf } from "../../src/install/upstream-values.ts";

type Tree = Readonly<Record<string, unknown>>;
interface Probe {
  /** The value to try. If absent, it is a changed default. */
  readonly value?: unknown;
  /** Other values that this one needs to take effect. */
  readonly beside?: Tree;
}

const selector = [{ matchLabels: { app: "web" } }];
const sized = { pilot: { autoscaleMin: 2 } };
const probes: Readonly<Record<string, Probe>> = {
  "base.excludedCRDs": { value: ["virtualservices.networking.istio.io"] },
  compatibilityVersion: { value: "1.26" },
  "gateways.seccompProfile": { value: { type: "Localhost" } },
  "global.defaultPodDisruptionBudget.enabled": { beside: sized },
  "global.imagePullPolicy": { value: "Always" },
  "global.proxy_init.forceApplyIptables": { beside: { pilot: { cni: { enabled: false } } } },
  "global.proxy.autoInject": { value: "disabled" },
  "global.proxy.capNetBindService": { value: true },
  "global.proxy.holdApplicationUntilProxyStarts": { value: true },
  "global.proxy.lifecycle": { value: { preStop: {} } },
  "global.proxy.tracer": { value: "zipkin" },
  "global.remotePilotAddress": { value: "10.0.0.1", beside: { istiodRemote: { enabled: true } } },
  "global.tracer.lightstep.accessToken": { value: "t", beside: { global: { proxy: { tracer: "lightstep" } } } },
  "global.tracer.lightstep.address": { value: "a:1", beside: { global: { proxy: { tracer: "lightstep" } } } },
  "global.waypoint.tolerations": { value: [{ key: "a" }] },
  "global.waypoint.topologySpreadConstraints": { value: [{ maxSkew: 1 }] },
  "pdb.maxUnavailable": { value: 3, beside: sized },
  "pdb.minAvailable": { beside: sized },
  "pdb.unhealthyPodEvictionPolicy": { beside: sized },
  // The ambient profile sets this to true.
  "pilot.cni.enabled": { value: false },
  "pilot.cni.provider": { value: "multus" },
  "pilot.memory": { value: { targetAverageUtilization: 70 } },
  "pilot.replicaCount": { beside: { pilot: { autoscaleEnabled: false } } },
  "pilot.taint.name": { beside: { pilot: { taint: { enabled: true } } } },
  "pilot.taint.namespace": { beside: { pilot: { taint: { enabled: true } } } },
  "sidecarInjectorWebhook.alwaysInjectSelector": {
    value: selector,
    beside: { global: { proxy: { autoInject: "disabled" } } },
  },
  "sidecarInjectorWebhook.defaultTemplates": { value: ["gateway"] },
  "sidecarInjectorWebhook.neverInjectSelector": { value: selector },
  "sidecarInjectorWebhook.templates": {
    value: { own: "metadata: {labels: {own: yes}}" },
    beside: { sidecarInjectorWebhook: { defaultTemplates: ["sidecar", "own"] } },
  },
  "cni.ambient.enabled": { value: false },
  "cni.resourceQuotas.pods": { beside: { cni: { resourceQuotas: { enabled: true } } } },
  "ztunnel.resourceQuotas.pods": { beside: { ztunnel: { resourceQuotas: { enabled: true } } } },
  "ztunnel.nodeSelector": { value: { a: "b" } },
  "ztunnel.affinity": { value: { podAffinity: {} } },
  "ztunnel.volumeMounts": { value: [{ name: "a", mountPath: "/a" }] },
};

/** Values that change nothing and get no warning, with the reason. */
const explained: Readonly<Record<string, string>> = {
  "global.defaultResources.requests.cpu": "for workloads without resources; each component has its own",
  "global.defaultResources.requests.memory": "for workloads without resources; each component has its own",
  profile: "an unknown profile is an error, which the installer's own test shows",
};

const defaults = { hub: "docker.io/istio", tag: "9.9.9" };
const definition: UntypedObject = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: "virtualservices.networking.istio.io" },
};

interface Outcome {
  readonly issues: readonly { readonly path: string }[];
  /** Everything that the installation writes, except the ConfigMaps that only repeat the values. */
  readonly written: string;
  /** The pods that injection and the gateway controller make with these ConfigMaps. */
  readonly injected: () => string;
}

function install(values: Tree): Outcome {
  const { value: settings, errors, warnings } = resolveSettings({ specs: [{ profile: "ambient", values }] }, defaults);
  const issues = [...errors, ...warnings];
  if (settings === undefined) return { issues, written: "", injected: () => "" };
  const { components } = renderInstall(settings, { istio: [definition], rollout: [] });
  const objects = components.flatMap((component) => component.objects);
  const written = [...objects.filter((object) => !repeatsValues(object)), renderDefaultRevision(settings)];
  return { issues, written: JSON.stringify(written), injected: once(() => JSON.stringify(injected(objects))) };
}

/** Whether the object is one of the ConfigMaps that only repeat the values. */
function repeatsValues({ kind, metadata: { name = "" } }: UntypedObject): boolean {
  return kind === "ConfigMap" && /^(values|istio-sidecar-injector)/.test(name);
}

/**
 * Returns a function that calls `run` on its first call only. The injection takes the most time, and is not needed if
 * the written objects differ already.
 */
function once(run: () => string): () => string {
  let result: string | undefined;
  return () => (result ??= run());
}

/** Returns the pods that the injector and the gateway controller make with the values. */
function injected(objects: readonly UntypedObject[]): unknown {
  const map = objects.find(({ metadata: { name = "" } }) => name.startsWith("istio-sidecar-injector"));
  const data = (map as { data?: { config: string; values: string } } | undefined)?.data;
  const settings = readInjectionSettings(data ?? {}, {
    ...defaults,
    istioNamespace: "istio-system",
    revision: "default",
    clusterName: "Kubernetes",
    network: "",
  });
  const templates = ["", "gateway", "grpc-agent"];
  const pods = templates.flatMap((template) =>
    [false, true].flatMap((nativeSidecars) =>
      [{}, { "istio-injection": "enabled" }].map((namespaceLabels) =>
        outcomeOrError(() =>
          injectPod(
            { pod: podFor(template), namespace: "demo", namespaceLabels },
            { settings, mesh: readMeshForInjection({}), revision: "default", nativeSidecars, proxyConfigs: [] },
          ),
        ),
      ),
    ),
  );
  return [pods, readGatewayPodValues(settings.tree)];
}

/** Returns the result of `run`, or its error, because a refusal is an effect too. */
function outcomeOrError(run: () => unknown): unknown {
  try {
    return run();
  } catch (error) {
    return messageOf(error);
  }
}

function podFor(template: string): Pod {
  const probe = { httpGet: { path: "/", port: 8080 } };
  const app = { name: "app", image: "app:1", ports: [{ containerPort: 8080 }], readinessProbe: probe };
  return {
    metadata: {
      generateName: "web-",
      labels: { app: "web" },
      annotations: template === "" ? {} : { "inject.istio.io/templates": template },
    },
    spec: { containers: [template === "gateway" ? { name: "istio-proxy", image: "auto" } : app] },
  };
}

function changed(value: unknown): unknown {
  if (typeof value === "boolean") return !value;
  if (typeof value === "number") return value + 7;
  if (typeof value === "string") return `${value}x`;
  if (Array.isArray(value)) return [...(value as unknown[]), "probe"];
  return isTree(value) ? { probe: "x" } : "probe";
}

function at(path: string, value: unknown): Tree {
  return path.split(".").reduceRight<unknown>((below, key) => ({ [key]: below }), value) as Tree;
}

test("every value of upstream's charts changes an installation, or a message names it", () => {
  const before = new Map<string, Outcome>();
  const outcomeOf = (values: Tree): Outcome => {
    const key = JSON.stringify(values);
    const known = before.get(key) ?? install(values);
    before.set(key, known);
    return known;
  };
  const silent: string[] = [];
  for (const chart of ["base", "istiod", "cni", "ztunnel"] as const)
    for (const [name, value] of Object.entries<unknown>(chartValues.charts[chart])) {
      const path = operatorPathOf(chart, name);
      const probe = probes[path] ?? {};
      const beside = probe.beside ?? {};
      const given = mergeTrees(beside, at(path, probe.value ?? changed(value))) as Tree;
      const { issues, written, injected: now } = install(given);
      const isNamed = issues.some((issue) => `spec.values.${path}.`.startsWith(`${issue.path}.`));
      const { written: plainly, injected: then } = outcomeOf(beside);
      const hasEffect = isNamed || written !== plainly || now() !== then();
      if (!hasEffect && explained[path] === undefined) silent.push(`${chart}: ${path}`);
    }
  assert.deepEqual(silent, [], `${chartValues.release}: these values have no effect, and no message names them`);
});

/** The values to try that only a chart has, by the chart and the path in its values. */
const chartProbes: Readonly<Record<string, Probe>> = {
  "istiod: cni.enabled": { value: true },
  "istiod: cni.provider": { value: "multus", beside: { cni: { enabled: true } } },
  "istiod: pilot.cni.enabled": { value: true },
  "istiod: pilot.cni.provider": { value: "multus", beside: { cni: { enabled: true } } },
  "istiod: pilot.env": { value: { OWN: "x" } },
  "gateway: podDisruptionBudget": { value: { minAvailable: 1 }, beside: { autoscaling: { minReplicas: 2 } } },
  "gateway: autoscaling.targetMemoryUtilizationPercentage": { value: 70 },
  "gateway: minReadySeconds": { value: 3 },
  "gateway: replicaCount": { value: 3, beside: { autoscaling: { enabled: false } } },
};

function chartProbe(chart: string, name: string): Probe {
  const own = chartProbes[`${chart}: ${name}`];
  if (own !== undefined) return own;
  if (chart !== "gateway") return probes[operatorPathOf(chart as "istiod", name)] ?? {};
  return name.startsWith("networkGatewayPorts.") ? { beside: { networkGateway: "far" } } : {};
}

function notedBy(chart: Chart): ReadonlySet<string> {
  const list = /range \$path := list (.*) \}\}/.exec(chart.files.get("templates/NOTES.txt") ?? "")?.[1] ?? "";
  return new Set([...list.matchAll(/"([^"]+)"/g)].map(([, path = ""]) => path));
}

const parsedDocuments = new Map<string, unknown>();

/** Returns the objects of a chart. Most values change only one of them, so each text is parsed once. */
function objectsIn(manifests: string): unknown[] {
  return manifests.split(/^---$/m).map((document) => {
    const known = parsedDocuments.get(document) ?? (parse(document, { version: "1.1" }) as unknown);
    parsedDocuments.set(document, known);
    return known;
  });
}

/**
 * Returns the objects that a chart writes, and the pods that injection makes with them. If the chart refuses the
 * values, `written` is the reason.
 */
function chartOutcome(renderer: ChartRenderer, values: Tree): Omit<Outcome, "issues"> {
  const release = { name: "mesh", namespace: "istio-system", values, skipDefinitions: false };
  const rendered = outcomeOrError(() => objectsIn(renderer.render(release)).filter((object) => object !== null));
  if (!Array.isArray(rendered)) return { written: JSON.stringify(rendered), injected: () => "" };
  const objects = rendered as UntypedObject[];
  const written = JSON.stringify(objects.filter((object) => !repeatsValues(object)));
  return { written, injected: once(() => JSON.stringify(injected(objects))) };
}

test("every value of upstream's charts changes what our chart writes or injection makes of it, or its notes name it", () => {
  const customResources = { istio: [definition], rollout: [], banzai: [] };
  const charts = renderCharts({ hub: "h", version: "1.2.3", customResources });
  const silent = Object.entries(chartValues.charts).flatMap(([name, values]) => {
    const chart = charts.find((each) => each.name === name);
    assert.ok(chart, name);
    const noted = notedBy(chart);
    const renderer = new ChartRenderer(chart);
    const plain = new Map<string, Omit<Outcome, "issues">>();
    const plainly = (beside: Tree): Omit<Outcome, "issues"> => {
      const key = JSON.stringify(beside);
      const outcome = plain.get(key) ?? chartOutcome(renderer, beside);
      plain.set(key, outcome);
      return outcome;
    };
    return Object.entries<unknown>(values).flatMap(([path, value]) => {
      const { value: wanted = changed(value), beside = {} } = chartProbe(name, path);
      const given = mergeTrees(beside, at(path, wanted)) as Tree;
      if (noted.has(path)) return [];
      const [now, then] = [chartOutcome(renderer, given), plainly(beside)];
      const isSilent = now.written === then.written && now.injected() === then.injected();
      return isSilent && explained[operatorPathOf(name as "istiod", path)] === undefined ? [`${name}: ${path}`] : [];
    });
  });
  assert.deepEqual(silent, [], `${chartValues.release}: no effect, and not in the notes`);
});

test("the injector and the charts have the same defaults", () => {
  const given = { ...defaults, istioNamespace: "istio-system", revision: "default", clusterName: "", network: "" };
  // The charts write "2000m", and istiod's own default is "2".
  const read = (values: Tree): unknown =>
    JSON.parse(JSON.stringify(readInjectionSettings({ values: JSON.stringify(values) }, given).values), (key, value) =>
      key === "cpu" || key === "memory" ? canonicalQuantity(String(value)) : (value as unknown),
    );
  assert.deepEqual(read({}), read(defaultValues));
});

test("no value is explained that has an effect, and none is probed that upstream does not have", () => {
  const paths = new Set(
    (["base", "istiod", "cni", "ztunnel"] as const).flatMap((chart) =>
      Object.keys(chartValues.charts[chart]).map((name) => operatorPathOf(chart, name)),
    ),
  );
  const strange = [...Object.keys(probes), ...Object.keys(explained)].filter((path) => !paths.has(path));
  assert.deepEqual(strange, []);
});

// Lists every pod that Serin's manifests create, as injection leaves it: those of each profile, chart, operator, sample
// and addon, of Gateways and waypoints, and of the probes.
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import type { Gateway } from "../../src/api/gateway/index.ts";
import type { UntypedObject } from "../../src/api/index.ts";
import type { Pod, PodSpec } from "../../src/api/kubernetes/index.ts";
import { renderChart } from "../../src/cli/charts/render-chart.ts";
import { gatewayObjects } from "../../src/controlplane/gateways/gateway-objects.ts";
import type { ProxySettings } from "../../src/controlplane/gateways/proxy-pod.ts";
import { waypointObjects } from "../../src/controlplane/gateways/waypoint-objects.ts";
import { injectPod, readInjectionSettings, readMeshForInjection } from "../../src/inject/index.ts";
import {
  profiles,
  renderCharts,
  renderInstall,
  renderOperator,
  resolveSettings,
  type InstallSettings,
} from "../../src/install/index.ts";
import { probeObjects } from "../../src/rollout/plan/index.ts";
import { root } from "./lab-cluster.ts";

export interface NamedPod {
  /** For example `profile ambient: DaemonSet ztunnel`. */
  readonly name: string;
  /** The pod that the kubelet gets. It is injected if its labels request that. */
  readonly pod: Pod;
}

export interface ReleaseName {
  readonly hub: string;
  readonly version: string;
}

export function everyPod(release: ReleaseName): NamedPod[] {
  const defaults = { hub: release.hub, tag: release.version };
  const sources: [source: string, objects: readonly UntypedObject[]][] = [
    ...Object.keys(profiles).map((profile): [string, UntypedObject[]] => [
      `profile ${profile}`,
      installed(settingsOf(defaults, `profile=${profile}`)),
    ]),
    ["a revision", installed(settingsOf(defaults, "profile=ambient", "revision=1-18-1"))],
    [
      "operator init",
      renderOperator({ ...defaults, namespace: "istio-operator", watchedNamespaces: [], revision: "" }, []),
    ],
    [
      "probes",
      probeObjects({
        revisions: ["default", "next"],
        dataPlanes: ["none", "sidecar", "ambient", "gateway", "waypoint"],
        image: `${release.hub}/serin:${release.version}`,
      }),
    ],
    ["Gateway API", generated(release)],
    ...charts(release),
    ...globSync("samples/**/*.yaml", { cwd: root })
      .sort()
      .map((file): [string, UntypedObject[]] => [file, objectsIn(readFileSync(join(root, file), "utf8"))]),
  ];
  return sources.flatMap(([source, objects]) =>
    objects.flatMap((object) => {
      const pod = podOf(object);
      if (pod === undefined) return [];
      return [{ name: `${source}: ${object.kind ?? ""} ${object.metadata.name ?? ""}`, pod: injected(pod, release) }];
    }),
  );
}

export function podsOfManifest(source: string, text: string): NamedPod[] {
  return objectsIn(text).flatMap((object) => {
    const pod = podOf(object);
    return pod === undefined ? [] : [{ name: `${source}: ${object.kind ?? ""} ${object.metadata.name ?? ""}`, pod }];
  });
}

/**
 * An application's pod with a sidecar. With `cni`, the CNI agent makes the redirect, and otherwise an init container.
 */
export function injectedApplication(release: ReleaseName, spec: PodSpec, cni: boolean): Pod {
  const pod = { metadata: { name: "app", labels: { "sidecar.istio.io/inject": "true" } }, spec };
  return injected(pod, release, cni);
}

/** A gateway that a user writes: a proxy with the image `auto`, which injection completes. */
export function injectedGateway(release: ReleaseName, spec: PodSpec): Pod {
  const metadata = {
    name: "gateway",
    labels: { "sidecar.istio.io/inject": "true" },
    annotations: { "inject.istio.io/templates": "gateway" },
  };
  return injected({ metadata, spec }, release);
}

function settingsOf(defaults: { hub: string; tag: string }, ...setFlags: readonly string[]): InstallSettings {
  const { value, errors } = resolveSettings({ specs: [], setFlags }, defaults);
  assert.deepEqual(errors, []);
  return value ?? assert.fail();
}

function installed(settings: InstallSettings): UntypedObject[] {
  const rendered = renderInstall(settings, { istio: [], rollout: [] });
  assert.deepEqual(rendered.errors, []);
  return rendered.components.flatMap(({ objects }) => [...objects]);
}

function generated({ hub, version }: ReleaseName): UntypedObject[] {
  const proxy: ProxySettings = {
    revision: "default",
    image: `${hub}/proxyv2:${version}`,
    discoveryAddress: "istiod.istio-system.svc:15012",
    clusterId: "Kubernetes",
    clusterDomain: "cluster.local",
    trustDomain: "cluster.local",
    network: "",
    proxyMetadata: {},
  };
  const gateway = (gatewayClassName: string): Gateway =>
    ({
      metadata: { name: gatewayClassName, namespace: "shop", uid: "1" },
      spec: { gatewayClassName, listeners: [{ name: "http", port: 80, protocol: "HTTP" }] },
    }) as unknown as Gateway;
  const ports = [{ name: "http", port: 80, protocol: "HTTP" }] as unknown as Parameters<typeof gatewayObjects>[1];
  return [
    gatewayObjects(gateway("istio"), ports, proxy).deployment,
    ...["istio-waypoint", "istio-mesh", "istio-east-west"].map(
      (className) => waypointObjects(gateway(className), { name: className, account: "own" }, proxy).deployment,
    ),
  ] as unknown as UntypedObject[];
}

function charts({ hub, version }: ReleaseName): [string, UntypedObject[]][] {
  return renderCharts({ hub, version, customResources: { istio: [], rollout: [], banzai: [] } }).map((chart) => [
    `chart ${chart.name}`,
    objectsIn(renderChart(chart, { name: chart.name, namespace: "istio-system", values: {}, skipDefinitions: true })),
  ]);
}

function objectsIn(text: string): UntypedObject[] {
  return parseAllDocuments(text, { logLevel: "silent" })
    .map((document) => document.toJS() as UntypedObject | null)
    .filter((object) => object !== null);
}

function podOf(object: UntypedObject): Pod | undefined {
  if (object.kind === "Pod") return { metadata: object.metadata, spec: object["spec"] as PodSpec };
  const { spec } = object as { spec?: { template?: { metadata?: Pod["metadata"]; spec?: PodSpec } } };
  const template = spec?.template;
  if (template?.spec?.containers === undefined || object.metadata === undefined) return undefined;
  const { name = "", namespace } = object.metadata;
  return {
    metadata: { ...template.metadata, generateName: `${name}-`, ...(namespace === undefined ? {} : { namespace }) },
    spec: template.spec,
  };
}

/** Injects a proxy if the pod's labels ask for it, as istiod's webhook does. */
function injected(pod: Pod, { hub, version }: ReleaseName, cni = true): Pod {
  const { "sidecar.istio.io/inject": wanted, "istio.io/rev": revision = "default" } = pod.metadata.labels ?? {};
  if (wanted !== "true" && (wanted !== undefined || pod.metadata.labels?.["istio.io/rev"] === undefined)) return pod;
  const settings = readInjectionSettings(
    { values: JSON.stringify({ pilot: { cni: { enabled: cni } } }) },
    {
      hub,
      tag: version,
      istioNamespace: "istio-system",
      revision,
      clusterName: "Kubernetes",
      network: "",
    },
  );
  const outcome = injectPod(
    { pod, namespace: "shop", namespaceLabels: {} },
    { settings, mesh: readMeshForInjection({}), revision, nativeSidecars: false, proxyConfigs: [] },
  );
  return outcome.kind === "injected" ? outcome.pod : assert.fail(`${pod.metadata.name ?? ""}: ${outcome.reason}`);
}

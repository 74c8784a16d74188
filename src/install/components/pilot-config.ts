import { stringify } from "yaml";
import { textAt, treeAt, valueAt, type Tree } from "../../base/index.ts";
import { writtenForKubernetes } from "../../base/kubernetes-yaml/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import { mergeTrees } from "../merge.ts";
import { object, revisioned } from "../render-context.ts";
import { type InstallSettings } from "../settings.ts";

/** The ConfigMap `istio[-rev]`: the mesh config, with the defaults of Istio's charts. */
export function meshConfigMap(settings: InstallSettings, labels: Record<string, string>): UntypedObject {
  const { namespace } = settings;
  const networks = treeAt(settings.values, "global", "meshNetworks") ?? {};
  return object(
    { apiVersion: "v1", kind: "ConfigMap", name: revisioned("istio", settings), namespace, labels },
    {
      data: {
        mesh: stringify(meshConfigOf(settings), writtenForKubernetes),
        meshNetworks: stringify({ networks }, writtenForKubernetes).trimEnd(),
      },
    },
  );
}

const keySetRootsName = "pilot-jwks-extra-cacerts";

/** Additional root certificates, in PEM, for servers of JSON web key sets. Returns undefined if there are none. */
function keySetRootsOf({ values }: InstallSettings): string | undefined {
  const roots = textAt(values, "pilot", "jwksResolverExtraRootCA");
  return roots === "" ? undefined : roots;
}

/** The ConfigMap with these root certificates, or nothing if `values.pilot.jwksResolverExtraRootCA` is not set. */
export function keySetRootsConfigMap(settings: InstallSettings, labels: Record<string, string>): UntypedObject[] {
  const roots = keySetRootsOf(settings);
  const { namespace } = settings;
  const name = revisioned(keySetRootsName, settings);
  return roots === undefined
    ? []
    : [object({ apiVersion: "v1", kind: "ConfigMap", name, namespace, labels }, { data: { "extra.pem": roots } })];
}

/** The volume and mount of these root certificates in the control plane's pod. */
export function keySetRootsMount(settings: InstallSettings): {
  readonly volumes: readonly Record<string, unknown>[];
  readonly volumeMounts: readonly Record<string, unknown>[];
} {
  if (keySetRootsOf(settings) === undefined) return { volumes: [], volumeMounts: [] };
  const name = "extracacerts";
  return {
    volumes: [{ name, configMap: { name: revisioned(keySetRootsName, settings) } }],
    volumeMounts: [{ name, mountPath: "/cacerts", readOnly: true }],
  };
}

function meshConfigOf(settings: InstallSettings): unknown {
  const { values, namespace } = settings;
  const meshId = textAt(values, "global", "meshID");
  const imageType = textAt(values, "global", "proxy", "variant") ?? textAt(values, "global", "variant");
  const tracing = tracingOf(values);
  const hasMetrics = [[], ["v2"], ["v2", "prometheus"]].every(
    (path) => valueAt(values, "telemetry", ...path, "enabled") !== false,
  );
  return mergeTrees(
    {
      defaultConfig: {
        discoveryAddress: `${discoveryHost(settings)}:15012`,
        ...(meshId === undefined ? {} : { meshId }),
        ...(imageType === undefined ? {} : { image: { imageType } }),
        ...(tracing === undefined ? {} : { tracing }),
      },
      ...(hasMetrics ? { defaultProviders: { metrics: ["prometheus"] } } : {}),
      enablePrometheusMerge: true,
      rootNamespace: namespace,
      trustDomain: "cluster.local",
    },
    settings.meshConfig,
  );
}

/** The host name at which this installation's proxies reach their control plane. */
export function discoveryHost(settings: InstallSettings): string {
  const isRemote = textAt(settings.values, "global", "remotePilotAddress") !== undefined;
  return `${isRemote ? "istiod" : revisioned("istiod", settings)}.${settings.namespace}.svc`;
}

function tracingOf(values: Tree): Tree | undefined {
  const tracer = textAt(values, "global", "proxy", "tracer");
  const address = textAt(values, "global", "tracer", tracer ?? "", "address");
  if (tracer === "zipkin")
    return {
      zipkin: { address: address ?? `zipkin.${textAt(values, "global", "istioNamespace") ?? "istio-system"}:9411` },
    };
  if (tracer === "datadog") return { datadog: { address: address ?? "$(HOST_IP):8126" } };
  if (tracer === "lightstep")
    return {
      lightstep: {
        address: address ?? "",
        accessToken: textAt(values, "global", "tracer", "lightstep", "accessToken") ?? "",
      },
    };
  return undefined;
}

/** An older control plane that reads this ConfigMap finds only this template, and reports its text as an error. */
const mismatch = "{{ Template_Version_And_Istio_Version_Mismatched_Check_Installation }}";

/**
 * The ConfigMap `istio-sidecar-injector[-rev]`. `values` are the values for templates. `config` decides which templates
 * apply to which pods, and contains the user's templates (`sidecarInjectorWebhook.templates`). Serin's own templates
 * are code.
 */
export function injectorConfigMap(settings: InstallSettings, labels: Record<string, string>): UntypedObject {
  const webhook = treeAt(settings.values, "sidecarInjectorWebhook") ?? {};
  const defaults = valueAt(webhook, "defaultTemplates");
  const config = {
    defaultTemplates: Array.isArray(defaults) && defaults.length > 0 ? (defaults as unknown[]) : ["sidecar"],
    policy: textAt(settings.values, "global", "proxy", "autoInject") ?? "enabled",
    alwaysInjectSelector: valueAt(webhook, "alwaysInjectSelector") ?? [],
    neverInjectSelector: valueAt(webhook, "neverInjectSelector") ?? [],
    injectedAnnotations: valueAt(webhook, "injectedAnnotations") ?? {},
    template: mismatch,
    templates: valueAt(webhook, "templates") ?? {},
  };
  return object(
    {
      apiVersion: "v1",
      kind: "ConfigMap",
      name: revisioned("istio-sidecar-injector", settings),
      namespace: settings.namespace,
      labels,
    },
    { data: { config: stringify(config), values: JSON.stringify(injectorValues(settings), null, 2) } },
  );
}

function injectorValues({ values, revision }: InstallSettings): Tree {
  const crlConfigMapName = valueAt(values, "pilot", "crlConfigMapName");
  return {
    gateways: {
      securityContext: valueAt(values, "gateways", "securityContext") ?? {},
      seccompProfile: valueAt(values, "gateways", "seccompProfile") ?? {},
    },
    global: treeAt(values, "global"),
    pilot: {
      cni: valueAt(values, "pilot", "cni") ?? {},
      env: valueAt(values, "pilot", "env") ?? {},
      ...(crlConfigMapName === undefined ? {} : { crlConfigMapName }),
    },
    revision,
    sidecarInjectorWebhook: treeAt(values, "sidecarInjectorWebhook"),
  };
}

/**
 * The ConfigMap `values[-rev]`, which shows people and tools the merged values. Both of its keys have the same text.
 */
export function valuesConfigMap(settings: InstallSettings, labels: Record<string, string>): UntypedObject {
  const annotations = {
    "kubernetes.io/description": "The values of this installation, to be looked at; nothing reads them back.",
  };
  const text = JSON.stringify(settings.values, null, 2);
  return object(
    {
      apiVersion: "v1",
      kind: "ConfigMap",
      name: revisioned("values", settings),
      namespace: settings.namespace,
      labels,
      annotations,
    },
    { data: { "merged-values": text, "original-values": text } },
  );
}

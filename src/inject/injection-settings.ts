import * as yaml from "yaml";
import type { LabelSelector } from "../api/index.ts";
import {
  filledTree,
  isTree,
  messageOf,
  textAt,
  textMapAt,
  type Tree,
  treeAt,
  userError,
  valueAt,
} from "../base/index.ts";
import { describeValue } from "../base/field-types/index.ts";
import { valueForKubernetes } from "../base/kubernetes-yaml/index.ts";
import { flagAt, listAt, numberAt } from "./tree.ts";

export interface Resources {
  readonly requests?: Readonly<Record<string, string>>;
  readonly limits?: Readonly<Record<string, string>>;
}

/** The Helm values that templates read, with the defaults of upstream's chart. */
export interface InjectionValues {
  readonly hub: string;
  readonly tag: string;
  readonly variant: string;
  readonly istioNamespace: string;
  readonly clusterDomain: string;
  readonly clusterName: string;
  readonly network: string;
  readonly meshId: string;
  readonly trustDomain: string;
  readonly caAddress: string;
  readonly caName: string;
  readonly pilotCertProvider: string;
  readonly tokenAudience: string;
  /** An empty string means the default bundle. */
  readonly trustBundleName: string;
  /** Whether the root certificate comes from a ClusterTrustBundle instead of a ConfigMap. */
  readonly clusterTrustBundle: boolean;
  readonly crlConfigMapName: string;
  readonly imagePullPolicy: string;
  readonly imagePullSecrets: readonly string[];
  readonly logLevel: string;
  readonly logAsJson: boolean;
  readonly stsPort: number;
  readonly mountMtlsCerts: boolean;
  readonly cni: { readonly enabled: boolean; readonly provider: string };
  readonly forceApplyIptables: boolean;
  readonly nativeNftables: boolean;
  readonly proxyInit: { readonly image: string };
  readonly proxy: ProxyValues;
  readonly gatewaySecurityContext: Tree | undefined;
  readonly rewriteProbes: boolean;
}

export interface ProxyValues {
  readonly image: string;
  readonly logLevel: string;
  readonly componentLogLevel: string;
  readonly privileged: boolean;
  readonly statusPort: number;
  readonly readinessInitialDelaySeconds: number;
  readonly readinessPeriodSeconds: number;
  readonly readinessFailureThreshold: number;
  readonly startupProbe: { readonly enabled: boolean; readonly failureThreshold: number };
  readonly resources: Resources;
  readonly includeIpRanges: string;
  readonly excludeIpRanges: string;
  readonly includeInboundPorts: string;
  readonly excludeInboundPorts: string;
  readonly includeOutboundPorts: string;
  readonly excludeOutboundPorts: string;
  readonly holdApplicationUntilProxyStarts: boolean;
  readonly capNetBindService: boolean;
  readonly lifecycle: Tree | undefined;
  readonly seccompProfile: { readonly type: string };
  readonly outlierLogPath: string;
}

/** The parsed ConfigMap `istio-sidecar-injector[-<rev>]`. */
export interface InjectionSettings {
  readonly policy: "enabled" | "disabled";
  readonly defaultTemplates: readonly string[];
  readonly aliases: Readonly<Record<string, readonly string[]>>;
  /** Templates that users have added, by name. Those of upstream's chart are not included. */
  readonly templates: Readonly<Record<string, string>>;
  readonly neverInjectSelector: readonly LabelSelector[];
  readonly alwaysInjectSelector: readonly LabelSelector[];
  readonly injectedAnnotations: Readonly<Record<string, string>>;
  readonly values: InjectionValues;
  /** The unparsed values. Users' templates read them. */
  readonly tree: Tree;
  /** Messages for the log about settings without effect. */
  readonly warnings: readonly string[];
}

/** The two keys of the ConfigMap. Either may be missing. */
export interface InjectionSources {
  readonly config?: string | undefined;
  readonly values?: string | undefined;
  /** The names of the two texts in error messages. */
  readonly places?: { readonly config: string; readonly values: string } | undefined;
}

export interface InjectionDefaults {
  readonly hub: string;
  readonly tag: string;
  readonly istioNamespace: string;
  readonly revision: string;
  readonly clusterName: string;
  readonly network: string;
}

/**
 * The names of the templates in the ConfigMap of upstream's chart, which are ignored. The first four are built in here.
 * The others describe gateways and waypoints that a control plane deploys.
 */
const chartTemplates = new Set([
  "sidecar",
  "gateway",
  "grpc-simple",
  "grpc-agent",
  "waypoint",
  "kube-gateway",
  "agentgateway",
  "agentgateway-waypoint",
]);

/**
 * Parses both keys of the ConfigMap (`config` is YAML, `values` is JSON or YAML), with upstream's defaults. Throws a
 * user error for an invalid document or policy. A single value of the wrong type adds a warning instead.
 */
export function readInjectionSettings(sources: InjectionSources, defaults: InjectionDefaults): InjectionSettings {
  const config = parseTree(sources.config, sources.places?.config ?? "the key config");
  const values = parseTree(sources.values, sources.places?.values ?? "the key values");
  const policy = textAt(config, "policy") ?? "enabled";
  if (policy !== "enabled" && policy !== "disabled")
    throw userError("injection-config-invalid", `policy must be enabled or disabled, got "${policy}"`);
  const templates = listAt(config, "defaultTemplates").filter((name) => typeof name === "string");
  const own = Object.entries(treeAt(config, "templates") ?? {}).filter(([name]) => !chartTemplates.has(name));
  const wrongTypes: string[] = [];
  return {
    policy,
    defaultTemplates: templates.length === 0 ? ["sidecar"] : templates,
    aliases: Object.fromEntries(
      Object.keys(treeAt(config, "aliases") ?? {}).map((name) => [
        name,
        listAt(config, "aliases", name).filter((alias) => typeof alias === "string"),
      ]),
    ),
    neverInjectSelector: selectorsAt(config, "neverInjectSelector").filter(
      (selector) => selectorFault(selector) === undefined,
    ),
    alwaysInjectSelector: selectorsAt(config, "alwaysInjectSelector").filter(
      (selector) => selectorFault(selector) === undefined,
    ),
    injectedAnnotations: textMapAt(config, "injectedAnnotations"),
    templates: Object.fromEntries(own.flatMap(([name, text]) => (typeof text === "string" ? [[name, text]] : []))),
    values: readValues(values, defaults, typedReaders(values, wrongTypes)),
    tree: values,
    warnings: [
      ...wrongTypes,
      ...(["neverInjectSelector", "alwaysInjectSelector"] as const).flatMap((field) =>
        selectorsAt(config, field).flatMap((selector, index) => {
          const fault = selectorFault(selector);
          return fault === undefined ? [] : [`${field}[${index}] ${fault}, so it selects nothing`];
        }),
      ),
      ...own
        .filter(([, text]) => typeof text !== "string")
        .map(([name]) => `templates.${name} is not a string and has no effect`),
      ...(textAt(values, "global", "caName") === "GkeWorkloadCertificate"
        ? [
            "values: global.caName GkeWorkloadCertificate is not supported and has no effect: the mesh issues its own certificates",
          ]
        : []),
    ],
  };
}

function parseTree(text: string | undefined, place: string): Tree {
  if (text === undefined || text.trim() === "") return {};
  let value: unknown;
  try {
    value = valueForKubernetes(yaml, text);
  } catch (error) {
    throw userError("injection-config-invalid", `${place} is neither JSON nor YAML: ${messageOf(error)}`);
  }
  if (value === null) return {};
  if (!isTree(value))
    throw userError("injection-config-invalid", `${place} must be an object, got ${describeValue(value)}`);
  return value;
}

function selectorsAt(config: Tree, field: string): LabelSelector[] {
  return listAt(config, field).filter(isTree) as LabelSelector[];
}

const operators: ReadonlySet<unknown> = new Set(["In", "NotIn", "Exists", "DoesNotExist"]);

/**
 * Describes what is wrong with a selector. A faulty selector is ignored, because it might match other pods than
 * intended.
 */
function selectorFault({
  matchLabels,
  matchExpressions,
}: {
  readonly matchLabels?: unknown;
  readonly matchExpressions?: unknown;
}): string | undefined {
  if (
    (matchLabels ?? undefined) !== undefined &&
    !(isTree(matchLabels) && Object.values(matchLabels).every((value) => typeof value === "string"))
  )
    return "has matchLabels that are not a map of strings";
  if ((matchExpressions ?? undefined) === undefined) return undefined;
  if (!Array.isArray(matchExpressions)) return "has matchExpressions that are not a list";
  for (const expression of matchExpressions as readonly unknown[]) {
    if (!isTree(expression) || typeof expression["key"] !== "string") return "has an expression without a key";
    const { operator, values } = expression;
    if (!operators.has(operator))
      return `has the operator ${JSON.stringify(operator)}; expected In, NotIn, Exists or DoesNotExist`;
    const listed = Array.isArray(values) && values.length > 0;
    if (operator === "In" || operator === "NotIn" ? !listed : listed)
      return `has the operator ${String(operator)} ${listed ? "with" : "without"} values`;
  }
  return undefined;
}

interface TypedReaders {
  readonly flag: (fallback: boolean, ...path: readonly string[]) => boolean;
  readonly number: (fallback: number, ...path: readonly string[]) => number;
}

/** Returns functions that read one value. For a value of the wrong type they add a warning and return the fallback. */
function typedReaders(values: Tree, warnings: string[]): TypedReaders {
  const read = <Value>(found: Value | undefined, fallback: Value, path: readonly string[], expected: string): Value => {
    const given = valueAt(values, ...path) ?? "";
    if (found === undefined && given !== "")
      warnings.push(
        `values: ${path.join(".")} must be ${expected}, got ${describeValue(given)}: ${String(fallback)} applies`,
      );
    return found ?? fallback;
  };
  return {
    flag: (fallback, ...path) => read(flagAt(values, ...path), fallback, path, "true or false"),
    number: (fallback, ...path) => read(numberAt(values, ...path), fallback, path, "a whole number"),
  };
}

function readValues(values: Tree, defaults: InjectionDefaults, readers: TypedReaders): InjectionValues {
  const text = (fallback: string, ...path: readonly string[]): string => textAt(values, ...path) ?? fallback;
  const { flag, number } = readers;
  const istioNamespace = text(defaults.istioNamespace, "global", "istioNamespace");
  // An empty revision in the values means that the names of the control plane's objects contain no revision.
  const revision = valueAt(values, "revision");
  return {
    hub: text(defaults.hub, "global", "hub"),
    tag: text(defaults.tag, "global", "tag"),
    variant: text("", "global", "variant"),
    istioNamespace,
    clusterDomain: text("cluster.local", "global", "proxy", "clusterDomain"),
    clusterName: text(defaults.clusterName, "global", "multiCluster", "clusterName"),
    network: text(defaults.network, "global", "network"),
    meshId: text("", "global", "meshID"),
    trustDomain: text("", "global", "trustDomain"),
    caAddress: text(
      `istiod${revisionSuffix(typeof revision === "string" ? revision : defaults.revision)}.${istioNamespace}.svc:15012`,
      "global",
      "caAddress",
    ),
    caName: text("", "global", "caName"),
    pilotCertProvider: text("istiod", "global", "pilotCertProvider"),
    tokenAudience: text("istio-ca", "global", "sds", "token", "aud"),
    trustBundleName: text("", "global", "trustBundleName"),
    clusterTrustBundle: flag(false, "pilot", "env", "ENABLE_CLUSTER_TRUST_BUNDLE_API"),
    crlConfigMapName: text("istio-ca-crl", "pilot", "crlConfigMapName"),
    imagePullPolicy: text("", "global", "imagePullPolicy"),
    imagePullSecrets: listAt(values, "global", "imagePullSecrets").filter((name) => typeof name === "string"),
    logLevel: text("default:info", "global", "logging", "level"),
    logAsJson: flag(false, "global", "logAsJson"),
    stsPort: number(0, "global", "sts", "servicePort"),
    mountMtlsCerts: flag(false, "global", "mountMtlsCerts"),
    cni: {
      // Existing values files still use the older key `istio_cni.enabled`.
      enabled: flag(flag(false, "istio_cni", "enabled"), "pilot", "cni", "enabled"),
      provider: text("default", "pilot", "cni", "provider"),
    },
    forceApplyIptables: flag(false, "global", "proxy_init", "forceApplyIptables"),
    nativeNftables: flag(false, "global", "nativeNftables"),
    proxyInit: { image: text("proxyv2", "global", "proxy_init", "image") },
    proxy: readProxyValues(values, readers),
    gatewaySecurityContext: filledTree(treeAt(values, "gateways", "securityContext")),
    rewriteProbes: flag(true, "sidecarInjectorWebhook", "rewriteAppHTTPProbe"),
  };
}

function revisionSuffix(revision: string): string {
  return revision === "" || revision === "default" ? "" : `-${revision}`;
}

const defaultResources: Resources = { limits: { cpu: "2", memory: "1Gi" }, requests: { cpu: "100m", memory: "128Mi" } };

function readProxyValues(values: Tree, { flag, number }: TypedReaders): ProxyValues {
  const proxy = treeAt(values, "global", "proxy") ?? {};
  const text = (fallback: string, field: string): string => textAt(proxy, field) ?? fallback;
  const resources = treeAt(proxy, "resources");
  return {
    image: text("proxyv2", "image"),
    logLevel: text("warning", "logLevel"),
    componentLogLevel: text("misc:error", "componentLogLevel"),
    privileged: flag(false, "global", "proxy", "privileged"),
    statusPort: number(15_020, "global", "proxy", "statusPort"),
    readinessInitialDelaySeconds: number(0, "global", "proxy", "readinessInitialDelaySeconds"),
    readinessPeriodSeconds: number(15, "global", "proxy", "readinessPeriodSeconds"),
    readinessFailureThreshold: number(4, "global", "proxy", "readinessFailureThreshold"),
    startupProbe: {
      enabled: flag(true, "global", "proxy", "startupProbe", "enabled"),
      failureThreshold: number(600, "global", "proxy", "startupProbe", "failureThreshold"),
    },
    resources: resources === undefined ? defaultResources : readResources(resources),
    includeIpRanges: text("*", "includeIPRanges"),
    excludeIpRanges: text("", "excludeIPRanges"),
    includeInboundPorts: text("*", "includeInboundPorts"),
    excludeInboundPorts: text("", "excludeInboundPorts"),
    includeOutboundPorts: text("", "includeOutboundPorts"),
    excludeOutboundPorts: text("", "excludeOutboundPorts"),
    holdApplicationUntilProxyStarts: flag(false, "global", "proxy", "holdApplicationUntilProxyStarts"),
    capNetBindService: flag(false, "global", "proxy", "capNetBindService"),
    lifecycle: filledTree(treeAt(proxy, "lifecycle")),
    // PodSecurity's level `restricted` requires at least this profile.
    seccompProfile: (filledTree(treeAt(proxy, "seccompProfile")) ?? { type: "RuntimeDefault" }) as { type: string },
    outlierLogPath: text("", "outlierLogPath"),
  };
}

function readResources(tree: Tree): Resources {
  const requests = textMapAt(tree, "requests");
  const limits = textMapAt(tree, "limits");
  return {
    ...(Object.keys(requests).length === 0 ? {} : { requests }),
    ...(Object.keys(limits).length === 0 ? {} : { limits }),
  };
}

import type { FieldIssue, Parsed } from "../api/index.ts";
import { parseIstioOperator, type ComponentSpec, type GatewaySpec, type IstioOperatorSpec } from "../api/istio/index.ts";
import { isTree, mergeTrees } from "./merge.ts";
import { defaultProfileName, profiles } from "./profiles.ts";
import { applySetFlags, parseSetFlags } from "./set-flags.ts";

/** A spec with its profile merged in and every default filled: what the components render from. */
export interface InstallSettings {
  readonly profile: string;
  readonly hub: string;
  readonly tag: string;
  readonly namespace: string;
  /** Empty for the default, unnamed revision. */
  readonly revision: string;
  readonly meshConfig: Readonly<Record<string, unknown>>;
  readonly values: Readonly<Record<string, unknown>>;
  readonly base: ComponentSpec;
  readonly pilot: ComponentSpec;
  readonly cni: ComponentSpec;
  readonly ztunnel: ComponentSpec;
  readonly ingressGateways: readonly GatewaySpec[];
  readonly egressGateways: readonly GatewaySpec[];
}

export interface InstallDefaults {
  readonly hub: string;
  /** The version of the release that installs. */
  readonly tag: string;
}

export interface SettingsSources {
  /** Of the files, in their order. */
  readonly specs: readonly IstioOperatorSpec[];
  /** The `--set path=value` flags, which win over files. */
  readonly setFlags?: readonly string[];
}

/** Merges files, then flags, onto the profile that the last of them names. */
export function resolveSettings(sources: SettingsSources, defaults: InstallDefaults): Parsed<InstallSettings> {
  const flags = parseSetFlags(sources.setFlags ?? []);
  const inFiles = sources.specs.reduce<unknown>(mergeTrees, {});
  const profile = stringAt(applySetFlags(inFiles, flags.flags), "profile") ?? defaultProfileName;
  const base = profiles[profile];
  if (base === undefined) {
    const known = Object.keys(profiles).join(", ");
    return failed([{ path: "spec.profile", message: `there is no profile "${profile}"; known are ${known}` }], []);
  }
  const merged = parseIstioOperator({ spec: applySetFlags(mergeTrees(base, inFiles), flags.flags) });
  const [firstError, ...otherErrors] = [...flags.errors, ...merged.errors];
  if (firstError !== undefined || merged.value === undefined) return failed([firstError, ...otherErrors].filter((issue) => issue !== undefined), merged.warnings);
  const settings = withDefaults(merged.value.spec, profile, defaults);
  return { value: settings, errors: [], warnings: [...merged.warnings, ...valueWarnings(settings.values)] };
}

function failed(errors: readonly FieldIssue[], warnings: readonly FieldIssue[]): Parsed<InstallSettings> {
  const [first = { path: "", message: "cannot be read" }, ...rest] = errors;
  return { value: undefined, errors: [first, ...rest], warnings };
}

function withDefaults(spec: IstioOperatorSpec, profile: string, defaults: InstallDefaults): InstallSettings {
  const { components = {}, values = {} } = spec;
  const revision = spec.revision ?? stringAt(values, "revision") ?? "";
  return {
    profile,
    hub: spec.hub ?? stringAt(values, "global", "hub") ?? defaults.hub,
    tag: spec.tag ?? stringAt(values, "global", "tag") ?? defaults.tag,
    namespace: spec.namespace ?? stringAt(values, "global", "istioNamespace") ?? "istio-system",
    revision: revision === "default" ? "" : revision,
    meshConfig: mergeTrees(treeAt(values, "meshConfig") ?? {}, spec.meshConfig ?? {}) as InstallSettings["meshConfig"],
    values,
    base: components.base ?? {},
    pilot: components.pilot ?? {},
    cni: components.cni ?? {},
    ztunnel: components.ztunnel ?? {},
    ingressGateways: components.ingressGateways ?? [],
    egressGateways: components.egressGateways ?? [],
  };
}

/** The values that components act on; every other one is answered by a warning with its name. */
const knownValues: readonly string[] = [
  "global.hub", "global.tag", "global.istioNamespace", "global.network", "global.meshID", "global.multiCluster.clusterName", "global.logging.level",
  "global.proxy.logLevel", "global.variant", "global.platform", "revision", "revisionTags", "defaultRevision", "meshConfig", "base.enableCRDTemplates",
  "pilot.env", "pilot.autoscaleEnabled", "pilot.replicaCount", "pilot.cni.enabled", "pilot.nodeSelector", "pilot.terminationGracePeriodSeconds",
  "cni.logLevel", "cni.excludeNamespaces", "cni.privileged", "cni.ambient.enabled", "cni.cniBinDir", "cni.cniConfDir", "cni.chained",
  "istio_cni.enabled", "istio_cni.chained", "ztunnel.env", "ztunnel.logLevel", "ztunnel.terminationGracePeriodSeconds", "ztunnel.nodeSelector",
  "gateways.istio-ingressgateway", "gateways.istio-egressgateway", "telemetry", "profile",
];

function valueWarnings(values: Readonly<Record<string, unknown>>, prefix = ""): FieldIssue[] {
  const warnings: FieldIssue[] = [];
  for (const [key, value] of Object.entries(values)) {
    const path = prefix === "" ? key : `${prefix}.${key}`;
    if (knownValues.includes(path)) continue;
    const leads = knownValues.some((known) => known.startsWith(`${path}.`));
    if (leads && isTree(value)) warnings.push(...valueWarnings(value, path));
    else if (leads) warnings.push({ path: `spec.values.${path}`, message: "must be an object" });
    else warnings.push({ path: `spec.values.${path}`, message: "is not acted on by Serin" });
  }
  return warnings;
}

export function valueAt(tree: unknown, ...path: readonly string[]): unknown {
  return path.reduce((value, field) => (isTree(value) ? value[field] : undefined), tree);
}

export function stringAt(tree: unknown, ...path: readonly string[]): string | undefined {
  const value = valueAt(tree, ...path);
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  return typeof value === "string" && value !== "" ? value : undefined;
}

export function numberAt(tree: unknown, ...path: readonly string[]): number | undefined {
  const value = valueAt(tree, ...path);
  return typeof value === "number" ? value : undefined;
}

export function treeAt(tree: unknown, ...path: readonly string[]): Readonly<Record<string, unknown>> | undefined {
  const value = valueAt(tree, ...path);
  return isTree(value) ? value : undefined;
}

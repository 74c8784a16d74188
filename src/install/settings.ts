import { isTree, nearestName, textAt, treeAt, valueAt, ownField, type Tree } from "../base/index.ts";
import type { FieldIssue, Parsed } from "../api/index.ts";
import { hubFault, tagFault } from "../api/images/index.ts";
import {
  parseIstioOperator,
  parseMeshConfig,
  parseMeshNetworks,
  withJsonNames,
  type ComponentSpec,
  type GatewaySpec,
  type IstioOperatorSpec,
} from "../api/istio/index.ts";
import { unreadVariables } from "../api/pilot-variables/index.ts";
import { defaultValues } from "./default-values.ts";
import { switchGateways } from "./gateway-switches.ts";
import { checkKeys } from "./known-values.ts";
import { compatibilityValues, compatibilityVersions } from "./compatibility.ts";
import { mergeTrees } from "./merge.ts";
import { platformFault, platformValues } from "./platform.ts";
import { defaultProfileName, profiles } from "./profiles.ts";
import { applySetFlags, parseSetFlags } from "./set-flags.ts";
import { typedValues } from "./value-types.ts";
import { unusedValues } from "./values-in-use.ts";

/** A spec merged with its profile and with every default. Components are rendered from it. */
export interface InstallSettings {
  readonly profile: string;
  readonly hub: string;
  readonly tag: string;
  /** The version for labels. The default is the tag without its digest, because labels cannot contain a digest. */
  readonly versionLabel?: string;
  readonly namespace: string;
  /** The suffix of names. Empty for the unnamed default revision. */
  readonly revision: string;
  /** The value of the label `istio.io/rev`, if it is neither `revision` nor `default`. */
  readonly revisionLabel?: string;
  readonly meshConfig: Readonly<Record<string, unknown>>;
  /** The API group of ServiceExports. The default is the pilot's variable MCS_API_GROUP, or else the standard group. */
  readonly multiClusterGroup?: string;
  /** The source of the volume with the mesh's root certificates. The default follows from the values. */
  readonly rootSource?: Readonly<Record<string, unknown>>;
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
  /** The version of the installing release. */
  readonly tag: string;
}

export interface SettingsSources {
  readonly specs: readonly IstioOperatorSpec[];
  /** The `--set path=value` flags. They override the files. */
  readonly setFlags?: readonly string[];
}

/**
 * Merges files, and then flags, onto the profile. If several of them name a profile, the last one applies. Errors refer
 * to the user's input, never to the profile.
 */
export function resolveSettings(sources: SettingsSources, defaults: InstallDefaults): Parsed<InstallSettings> {
  const flags = parseSetFlags(sources.setFlags ?? []);
  const files = sources.specs.map(withMeshNames).reduce(mergeTrees, {});
  const given = applySetFlags(files, flags.flags);
  const profile = profileOf(given);
  const base = baseOf(profile, given);
  if ("path" in base) return failed([base], []);
  const values = treeAt(given, "values") ?? {};
  const checked = checkedValues(values);
  const merged = parseIstioOperator({
    spec: withTypes(applySetFlags(mergeTrees(base.spec, files), flags.flags)),
  });
  const mesh = [
    meshIssues(treeAt(given, "meshConfig"), "spec.meshConfig"),
    meshIssues(treeAt(values, "meshConfig"), "spec.values.meshConfig"),
    networkIssues(treeAt(values, "global", "meshNetworks")),
  ];
  const warnings = [
    ...merged.warnings,
    ...checked.warnings,
    ...unusedIn(given, checked),
    ...unusedVariables(treeAt(merged.value?.spec, "values") ?? values),
    ...mesh.flatMap((issues) => issues.warnings),
  ];
  const errors = [...flags.errors, ...merged.errors, ...checked.errors, ...mesh.flatMap((issues) => issues.errors)];
  if (errors.length > 0 || merged.value === undefined) return failed(errors, warnings);
  const switched = switchGateways(given, merged.value.spec);
  warnings.push(...switched.warnings);
  const settings = withDefaults(switched.spec, profile, defaults);
  const conflicts = [...imageFaults(settings), ...conflictsIn(settings)];
  return conflicts.length > 0 ? failed(conflicts, warnings) : { value: settings, errors: [], warnings };
}

/** Merges files and then flags, without a profile. */
export function givenSpec({ specs, setFlags = [] }: SettingsSources): Parsed<IstioOperatorSpec> {
  const { flags, errors } = parseSetFlags(setFlags);
  const parsed = parseIstioOperator({
    spec: withTypes(applySetFlags(specs.map(withMeshNames).reduce(mergeTrees, {}), flags)),
  });
  if (errors.length > 0 || parsed.value === undefined) return failed([...errors, ...parsed.errors], parsed.warnings);
  return { value: parsed.value.spec, errors: [], warnings: parsed.warnings };
}

/** Merges files and then flags onto the profile, without the defaults. This is the output of `profile dump`. */
export function resolveSpec(sources: SettingsSources): Parsed<IstioOperatorSpec> {
  const flags = parseSetFlags(sources.setFlags ?? []);
  const files = sources.specs.map(withMeshNames).reduce(mergeTrees, {});
  const given = applySetFlags(files, flags.flags);
  const profile = profileOf(given);
  const base = baseOf(profile, given);
  if ("path" in base) return failed([base], []);
  const merged = parseIstioOperator({ spec: withTypes(applySetFlags(mergeTrees(base.spec, files), flags.flags)) });
  const errors = [...flags.errors, ...merged.errors];
  if (errors.length > 0 || merged.value === undefined) return failed(errors, merged.warnings);
  return { value: { ...merged.value.spec, profile }, errors: [], warnings: merged.warnings };
}

/** Renames fields of the mesh config to their JSON names, so that they replace the profile's fields. */
function withMeshNames(spec: unknown): unknown {
  if (!isTree(spec)) return spec;
  const { meshConfig, values } = spec;
  return {
    ...spec,
    ...(meshConfig === undefined ? {} : { meshConfig: withJsonNames(meshConfig) }),
    ...(isTree(values) && values["meshConfig"] !== undefined
      ? { values: { ...values, meshConfig: withJsonNames(values["meshConfig"]) } }
      : {}),
  };
}

/** Converts the values to their types. Ignores errors, because {@link checkedValues} reports them. */
function withTypes(spec: unknown): unknown {
  const values = treeAt(spec, "values");
  return values === undefined ? spec : { ...(spec as Tree), values: typedValues(values).values };
}

function checkedValues(values: Tree): ReturnType<typeof checkKeys> {
  const { errors, warnings } = checkKeys(values);
  return { errors: [...errors, ...typedValues(values).errors], warnings };
}

function profileOf(spec: unknown): string {
  return textAt(spec, "profile") ?? textAt(spec, "values", "profile") ?? defaultProfileName;
}

function unknownProfile(profile: string): FieldIssue {
  const near = nearestName(profile, Object.keys(profiles));
  return {
    path: "spec.profile",
    message: `there is no profile "${profile}"${near === undefined ? "" : `; did you mean "${near}"?`}; known: ${Object.keys(profiles).join(", ")}`,
  };
}

/**
 * The spec onto which the user's spec is merged: the profile, then the values of the platform, then those of
 * `compatibilityVersion`.
 */
function baseOf(profile: string, given: unknown): { readonly spec: unknown } | FieldIssue {
  const spec = ownField(profiles, profile);
  if (spec === undefined) return unknownProfile(profile);
  const platform = textAt(given, "values", "global", "platform") ?? "";
  const fault = platformFault(platform);
  if (fault !== undefined) return { path: "spec.values.global.platform", message: fault };
  const values = platformValues(platform);
  const onPlatform = values === undefined ? spec : mergeTrees(spec, { values });
  const version = textAt(given, "compatibilityVersion") ?? textAt(given, "values", "compatibilityVersion");
  if (version === undefined) return { spec: onPlatform };
  const older = compatibilityValues(version);
  return older === undefined ? unknownVersion(version) : { spec: mergeTrees(onPlatform, { values: older }) };
}

function unknownVersion(version: string): FieldIssue {
  return {
    path: "spec.compatibilityVersion",
    message: `there is no compatibility version "${version}"; known: ${compatibilityVersions.join(", ")}`,
  };
}

/** Reports what the control plane would report about this mesh config. */
function meshIssues(
  meshConfig: unknown,
  place: string,
): { readonly errors: FieldIssue[]; readonly warnings: FieldIssue[] } {
  const placed = ({ path, message }: FieldIssue): FieldIssue => ({
    path: path === "" ? place : `${place}.${path}`,
    message,
  });
  const { errors, warnings } = parseMeshConfig(meshConfig);
  return { errors: errors.map(placed), warnings: warnings.map(placed) };
}

function networkIssues(networks: unknown): ReturnType<typeof meshIssues> {
  const { errors, warnings } = parseMeshNetworks({ networks: networks ?? {} });
  const placed = ({ path, message }: FieldIssue): FieldIssue => ({
    path: `spec.values.global.meshNetworks${path.replace(/^networks/, "")}`,
    message,
  });
  return { errors: errors.map(placed), warnings: warnings.map(placed) };
}

function unusedIn(
  given: unknown,
  { warnings, errors }: { readonly warnings: readonly FieldIssue[]; readonly errors: readonly FieldIssue[] },
): FieldIssue[] {
  const reportedPaths = [...warnings, ...errors].map(({ path }) => path);
  return unusedValues(treeAt(given, "values") ?? {}).filter(
    ({ path }) => !reportedPaths.some((other) => other === path || other.startsWith(`${path}.`)),
  );
}

function unusedVariables(values: Readonly<Record<string, unknown>>): FieldIssue[] {
  return unreadVariables(treeAt(values, "pilot", "env") ?? {}).map((name) => ({
    path: `spec.values.pilot.env.${name}`,
    message: "has no effect: Serin does not read it",
  }));
}

/** Returns hubs and tags that no container runtime accepts. Empty ones are allowed, because charts fill them in. */
function imageFaults(settings: InstallSettings): FieldIssue[] {
  const { hub, tag, base, pilot, cni, ztunnel, ingressGateways, egressGateways } = settings;
  const places: readonly (readonly [path: string, place: { readonly hub?: string; readonly tag?: string }])[] = [
    ["spec", { hub, tag }],
    ...Object.entries({ base, pilot, cni, ztunnel }).map(
      ([name, component]) => [`spec.components.${name}`, component] as const,
    ),
    ...ingressGateways.map((gateway, index) => [`spec.components.ingressGateways[${index}]`, gateway] as const),
    ...egressGateways.map((gateway, index) => [`spec.components.egressGateways[${index}]`, gateway] as const),
  ];
  return places.flatMap(([path, place]) => {
    const faults = [
      ["hub", (place.hub ?? "") === "" ? undefined : hubFault(place.hub ?? "")],
      ["tag", (place.tag ?? "") === "" ? undefined : tagFault(place.tag ?? "")],
    ] as const;
    return faults.flatMap(([field, message]) => (message === undefined ? [] : [{ path: `${path}.${field}`, message }]));
  });
}

function conflictsIn({ revision, values }: InstallSettings): FieldIssue[] {
  const tags = valueAt(values, "revisionTags");
  if (revision === "" || !Array.isArray(tags) || !tags.includes(revision)) return [];
  return [
    { path: "spec.values.revisionTags", message: `must not contain "${revision}", the name of the revision itself` },
  ];
}

function failed(errors: readonly FieldIssue[], warnings: readonly FieldIssue[]): Parsed<InstallSettings> {
  const [first = { path: "", message: "cannot be read" }, ...rest] = errors;
  return { value: undefined, errors: [first, ...rest], warnings };
}

const redirectByAgent = { pilot: { cni: { enabled: true } } };

/**
 * Adds a default to a spec that installs the CNI agent: the agent sets up the redirect of sidecars, so pods need no
 * rights on the network.
 */
export function withRedirectByAgent(spec: IstioOperatorSpec): IstioOperatorSpec {
  return mergeTrees({ values: redirectByAgent }, spec) as IstioOperatorSpec;
}

export function hasAgent({ components, values }: IstioOperatorSpec): boolean {
  return components?.cni?.enabled === true || valueAt(values, "istio_cni", "enabled") === true;
}

function withDefaults(spec: IstioOperatorSpec, profile: string, defaults: InstallDefaults): InstallSettings {
  const { components = {} } = spec;
  const values = mergeTrees(
    mergeTrees(defaultValues, hasAgent(spec) ? redirectByAgent : {}),
    spec.values ?? {},
  ) as InstallSettings["values"];
  const revision = spec.revision ?? textAt(values, "revision") ?? "";
  const namespace = spec.namespace ?? textAt(spec.values, "global", "istioNamespace") ?? "istio-system";
  const hub = spec.hub ?? textAt(values, "global", "hub") ?? defaults.hub;
  const tag = spec.tag ?? textAt(values, "global", "tag") ?? defaults.tag;
  return {
    profile,
    hub,
    tag,
    namespace,
    revision: revision === "default" ? "" : revision,
    meshConfig: mergeTrees(treeAt(values, "meshConfig") ?? {}, spec.meshConfig ?? {}) as InstallSettings["meshConfig"],
    values: mergeTrees(values, {
      profile,
      global: { hub, tag, istioNamespace: namespace },
    }) as InstallSettings["values"],
    base: components.base ?? {},
    pilot: components.pilot ?? {},
    cni: components.cni ?? {},
    ztunnel: components.ztunnel ?? {},
    ingressGateways: components.ingressGateways ?? [],
    egressGateways: components.egressGateways ?? [],
  };
}

/**
 * The boolean at the path. {@link resolveSettings} has already converted strings, so any other type gives undefined.
 */
export function booleanAt(tree: unknown, ...path: readonly string[]): boolean | undefined {
  const value = valueAt(tree, ...path);
  return typeof value === "boolean" ? value : undefined;
}

/** The number at the path, or undefined for another type, as in {@link booleanAt}. */
export function numberAt(tree: unknown, ...path: readonly string[]): number | undefined {
  const value = valueAt(tree, ...path);
  return typeof value === "number" ? value : undefined;
}

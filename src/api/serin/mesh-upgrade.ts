import { mergeTrees, valueAt } from "../../base/index.ts";
import { defineKind } from "../kind.ts";
import { parseIstioOperator, type IstioOperatorSpec } from "../istio/istio-operator.ts";
import type { KubernetesObject } from "../meta.ts";
import type { FieldIssue, Parsed } from "../parsed.ts";
import { Reader } from "../reader.ts";
import { parseChecks, type CheckSpec } from "./check-spec.ts";
import type { CheckType } from "./check-type.ts";
import { checkRolloutName, maxServiceNameLength, objectName } from "./object-name.ts";
import { parseOrders, type RolloutOrdersSpec } from "./rollout-orders.ts";
import { rolloutGroup, rolloutVersion, type RolloutStatus } from "./rollout-status.ts";
import { parseWaves, type UpgradeWave } from "./upgrade-wave.ts";

/** rollout.serin.dev/v1alpha1 MeshUpgrade (cluster-scoped): moves the mesh itself from one revision to another. */
export interface MeshUpgrade extends KubernetesObject {
  spec: MeshUpgradeSpec;
  status?: RolloutStatus;
}

export interface MeshUpgradeSpec extends RolloutOrdersSpec {
  readonly from: { readonly revision: string };
  readonly to: {
    readonly revision: string;
    /**
     * IstioOperator specs to install, in this order, beside the existing revision. Empty means that the new revision is
     * already installed.
     */
    readonly install: readonly IstioOperatorSpec[];
    /** The CNI agent that replaces the running one, node by node. Other components in this spec are ignored. */
    readonly cni?: IstioOperatorSpec;
    /**
     * The name of a Secret in istio-system with the keys of `cacerts`. The mesh first trusts its root too, then signs
     * with it, and finally trusts only this root.
     */
    readonly root?: { readonly secretName: string };
  };
  readonly scope: UpgradeScope;
  /**
   * The waves of namespaces and workloads, in the order in which they move. Empty means one wave with everything.
   * Gateways move after the first wave.
   */
  readonly waves: readonly UpgradeWave[];
  /** How many enrolled pods move to the other ztunnel together (`by`), and how many such moves run at once. */
  readonly ztunnel: { readonly by: "Pod" | "Namespace" | "Node"; readonly maxConcurrent: number };
  /**
   * The percentages of a gateway's replicas on the new revision, step by step. The parser appends 100 if it is not the
   * last.
   */
  readonly gateways: { readonly weights: readonly number[]; readonly afterWave: number };
  /** The percentages of a waypoint's traffic for the new revision, step by step. */
  readonly waypoints: { readonly weights: readonly number[] };
  readonly checks: readonly CheckSpec[];
  readonly soakSeconds: number;
  readonly retire: "Automatic" | "Manual";
}

/** The parts that move. All parts move by default. */
export interface UpgradeScope {
  readonly ztunnel: boolean;
  readonly cni: boolean;
  readonly waypoints: boolean;
  readonly gateways: boolean;
  /** Namespaces and workloads with sidecars. */
  readonly namespaces: boolean;
  /** The tag `default` and all other tags of the old revision, with the validation webhook. */
  readonly tags: boolean;
}

export const meshUpgradeKind = defineKind<MeshUpgrade>({
  group: rolloutGroup,
  versions: [rolloutVersion],
  kind: "MeshUpgrade",
  plural: "meshupgrades",
  namespaced: false,
  parse: parseMeshUpgrade,
});

/** Parses a MeshUpgrade, and fills in the defaults of its spec. Keeps the status as it is. */
export function parseMeshUpgrade(raw: unknown): Parsed<MeshUpgrade> {
  const reader = new Reader(raw);
  reader.ignore("apiVersion", "kind");
  const named = reader.object("metadata");
  checkRolloutName(named, "MeshUpgrade");
  const metadata = named?.raw as MeshUpgrade["metadata"] | undefined;
  const status = reader.object("status")?.raw as RolloutStatus | undefined;
  const spec = reader.required("spec", reader.object("spec"));
  const parsed = spec === undefined ? undefined : parseSpec(spec);
  reader.unknownFields();
  return reader.finish(() => ({
    apiVersion: `${rolloutGroup}/${rolloutVersion}`,
    kind: "MeshUpgrade",
    metadata: metadata ?? {},
    spec: parsed as MeshUpgradeSpec,
    ...(status === undefined ? {} : { status }),
  }));
}

const monthSeconds = 2_592_000;

function parseSpec(spec: Reader): MeshUpgradeSpec {
  const from = spec.required("from", spec.object("from"));
  const fromRevision = from === undefined ? "" : revisionOf(from);
  from?.unknownFields();
  const waves = parseWaves(spec);
  const to = parseTo(spec, fromRevision);
  const scope = parseScope(spec);
  if (scope.cni && to.cni === undefined && spec.object("scope")?.has("cni") === true)
    spec.error("is required by scope.cni: true, such as {tag: 1.18.1}; or remove scope.cni", "to.cni");
  const result: MeshUpgradeSpec = {
    from: { revision: fromRevision },
    to,
    scope,
    waves,
    ztunnel: parseZtunnel(spec),
    gateways: parseGateways(spec, Math.max(1, waves.length)),
    waypoints: { weights: parseWeights(spec, "waypoints", [10, 50, 100]) },
    checks: parseChecks(spec, "checks"),
    soakSeconds: spec.integer("soakSeconds", 0, monthSeconds) ?? 0,
    retire: spec.oneOf("retire", ["Automatic", "Manual"]) ?? "Automatic",
    ...parseOrders(spec),
  };
  spec.unknownFields();
  warnOfUpgradeFields(spec, result);
  return result;
}

/**
 * The name of a revision is a label's value. A control plane of Banzai Cloud's operator has the name NAME.NAMESPACE.
 */
const revisionPattern = /^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$/i;

function revisionOf(end: Reader): string {
  const revision = end.string("revision");
  if (revision !== undefined && !revisionPattern.test(revision))
    end.error(
      `must be the name of a revision: at most 63 letters, digits, dashes and dots, such as 1-18-1 or default, got ${JSON.stringify(revision)}`,
      "revision",
    );
  return end.required("revision", revision) ?? "";
}

function parseTo(spec: Reader, fromRevision: string): MeshUpgradeSpec["to"] {
  const to = spec.required("to", spec.object("to"));
  if (to === undefined) return { revision: "", install: [] };
  const revision = revisionOf(to);
  if (revision !== "" && revision === fromRevision && !to.has("root") && !to.has("cni"))
    spec.error(`must differ from the old revision (${fromRevision})`, "to.revision");
  const install = to.objects("install").flatMap((element) => {
    const specs = parseInstall(element);
    for (const { revision: specRevision } of specs)
      if (specRevision !== undefined && specRevision !== "" && specRevision !== revision)
        element.error(`must be the revision of the upgrade (${revision}), got "${specRevision}"`, "revision");
    return specs;
  });
  const longestRevision = maxServiceNameLength - "istiod-".length;
  if (install.length > 0 && revision.length > longestRevision)
    to.error(
      `must have at most ${longestRevision} characters to be installed, because its Service is called istiod-REVISION, got ${revision.length}`,
      "revision",
    );
  const [cni] = ["cni"].flatMap((field) => (to.has(field) ? parseInstall(to.object(field) ?? to.empty(field)) : []));
  const root = to.object("root");
  const secretName = root === undefined ? undefined : objectName(root, "secretName");
  root?.unknownFields();
  to.unknownFields();
  return {
    revision,
    install,
    ...(cni === undefined ? {} : { cni: agentSpec(cni, install[0]) }),
    ...(secretName === undefined ? {} : { root: { secretName } }),
  };
}

/**
 * The complete spec of the agent, so that a user may write only `cni: { tag: 1.18.1 }`. It enables the agent, and takes
 * over from the mesh what its nodes have in common: the profile, the registry with its Secrets, the platform, and the
 * agent's own values.
 */
function agentSpec(cni: IstioOperatorSpec, mesh: IstioOperatorSpec | undefined): IstioOperatorSpec {
  const profile = cni.profile ?? mesh?.profile;
  const hub = cni.hub ?? mesh?.hub;
  const inherited = Object.entries(mesh?.values ?? {}).filter(([section]) => section === "global" || section === "cni");
  // Keep nulls in the agent's values, because a null removes a default of the profile at the installation.
  const values = mergeTrees(Object.fromEntries(inherited), cni.values ?? {}, { nulls: "keep", lists: "replace" });
  return {
    ...cni,
    ...(profile === undefined ? {} : { profile }),
    ...(hub === undefined ? {} : { hub }),
    ...(Object.keys(values).length === 0 ? {} : { values }),
    components: { ...cni.components, cni: { enabled: true, ...cni.components?.cni } },
  };
}

/** Parses the spec of an IstioOperator, and reports its issues at the element's path. */
function parseInstall(element: Reader): IstioOperatorSpec[] {
  const parsed = parseIstioOperator({ spec: element.raw });
  for (const issue of parsed.errors) element.error(issue.message, issue.path.replace(/^spec\.?/, ""));
  return parsed.value === undefined ? [] : [parsed.value.spec];
}

function parseScope(spec: Reader): UpgradeScope {
  const scope = spec.object("scope");
  const part = (field: keyof UpgradeScope): boolean => scope?.boolean(field) ?? true;
  const result = {
    ztunnel: part("ztunnel"),
    cni: part("cni"),
    waypoints: part("waypoints"),
    gateways: part("gateways"),
    namespaces: part("namespaces"),
    tags: part("tags"),
  };
  scope?.unknownFields();
  return result;
}

function parseZtunnel(spec: Reader): MeshUpgradeSpec["ztunnel"] {
  const ztunnel = spec.object("ztunnel");
  const result = {
    by: ztunnel?.oneOf("by", ["Pod", "Namespace", "Node"]) ?? "Pod",
    maxConcurrent: ztunnel?.integer("maxConcurrent", 1, 1000) ?? 1,
  };
  ztunnel?.unknownFields();
  return result;
}

function parseGateways(spec: Reader, waves: number): MeshUpgradeSpec["gateways"] {
  const gateways = spec.object("gateways");
  const afterWave = gateways?.integer("afterWave", 0, waves) ?? 1;
  return { weights: parseWeights(spec, "gateways", [50, 100], ["afterWave"]), afterWave };
}

/** Parses increasing percentages that end with 100. */
function parseWeights(
  spec: Reader,
  field: string,
  byDefault: readonly number[],
  known: readonly string[] = [],
): readonly number[] {
  const part = spec.object(field);
  if (part === undefined) return byDefault;
  part.ignore(...known);
  const weights = part.list("weights").flatMap((element) => {
    const { raw } = element;
    if (typeof raw === "number" && Number.isInteger(raw) && raw >= 1 && raw <= 100) return [raw];
    element.error(`must be a whole number from 1 to 100, got ${JSON.stringify(raw)}`);
    return [];
  });
  part.unknownFields();
  if (weights.some((weight, index) => weight <= (weights[index - 1] ?? 0)))
    part.error(`must rise from one to the next, such as 10, 50, 100, got ${weights.join(", ")}`, "weights");
  if (weights.length === 0) return byDefault;
  return weights.at(-1) === 100 ? weights : [...weights, 100];
}

/** Warns of fields of a MeshUpgrade that have no effect beside the others. */
function warnOfUpgradeFields(spec: Reader, upgrade: MeshUpgradeSpec): void {
  if (upgrade.from.revision === upgrade.to.revision) warnOfMoves(spec, upgrade);
  else warnOfScope(spec, upgrade);
  if (!upgrade.scope.cni && upgrade.to.cni !== undefined)
    spec.warnNoEffect("has no effect with scope.cni: false; remove one of them", "to.cni");
  for (const { path, message } of faultsOfChecks(upgrade)) spec.warnNoEffect(message, path);
}

const moveFields = ["waves", "ztunnel", "gateways", "waypoints", "retire"] as const;

/** Warns of fields about moves if the two revisions are equal. Then only the CNI agent and the root can change. */
function warnOfMoves(spec: Reader, { from }: MeshUpgradeSpec): void {
  for (const field of moveFields)
    if (spec.has(field))
      spec.warnNoEffect(
        `has no effect, because from and to are the same revision (${from.revision}) and nothing moves; remove it`,
        field,
      );
}

function warnOfScope(spec: Reader, { scope, waves }: MeshUpgradeSpec): void {
  const warn = (part: keyof typeof scope, field: string): void => {
    spec.warnNoEffect(`has no effect with scope.${part}: false; remove one of them`, field);
  };
  const isSet = (...path: readonly string[]): boolean => (valueAt(spec.raw, ...path) ?? undefined) !== undefined;
  if (!scope.ztunnel && isSet("ztunnel")) warn("ztunnel", "ztunnel");
  if (!scope.waypoints && isSet("waypoints")) warn("waypoints", "waypoints");
  if (!scope.gateways && isSet("gateways", "weights")) warn("gateways", "gateways.weights");
  if (!scope.gateways && !scope.waypoints && isSet("gateways", "afterWave")) warn("gateways", "gateways.afterWave");
  if (scope.namespaces) return;
  // A field with its default value causes no warning, because it may be absent in the object.
  waves.forEach(({ mode, maxUnavailable }, index) => {
    if (mode !== "Restart") warn("namespaces", `waves[${index}].mode`);
    if (maxUnavailable !== 1) warn("namespaces", `waves[${index}].maxUnavailable`);
  });
}

function hasZtunnelSteps({ from, to, scope }: MeshUpgradeSpec): boolean {
  return from.revision !== to.revision && scope.ztunnel;
}

function hasCniSteps({ to, scope }: MeshUpgradeSpec): boolean {
  return to.cni !== undefined && scope.cni;
}

/**
 * The types of which a step has exactly one check: the first one in its wave, or else in the spec, or else the built-in
 * one.
 */
const single: ReadonlySet<CheckType> = new Set<CheckType>(["tcp-connect-failures", "mtls-probe-matrix"]);

/**
 * The faults of checks that no step would have. A reference is skipped, because its type is unknown until it is
 * resolved.
 */
function faultsOfChecks(upgrade: MeshUpgradeSpec): readonly FieldIssue[] {
  const movesZtunnels = hasZtunnelSteps(upgrade);
  const hasTcpWaves = movesZtunnels && upgrade.ztunnel.by !== "Node";
  return [
    ...faultsIn("checks", upgrade.checks, movesZtunnels || hasCniSteps(upgrade)),
    ...upgrade.waves.flatMap(({ checks }, index) => faultsIn(`waves[${index}].checks`, checks, hasTcpWaves)),
  ];
}

function faultsIn(field: string, checks: readonly CheckSpec[], hasTcpSteps: boolean): readonly FieldIssue[] {
  return checks.flatMap(({ type, ref }, index) => {
    if (ref !== undefined) return [];
    const first = checks.findIndex((other) => other.type === type && other.ref === undefined);
    const fault = faultOf(type, hasTcpSteps, first === index ? undefined : `${field}[${first}]`);
    return fault === undefined ? [] : [{ path: `${field}[${index}]`, message: `has no effect: ${fault}` }];
  });
}

/**
 * The faults of checks that came from references, which the first validation could not find. `given` is the spec with
 * its references.
 */
export function faultsOfReferences(given: MeshUpgradeSpec, resolved: MeshUpgradeSpec): readonly FieldIssue[] {
  const known = new Set(faultsOfChecks(given).map(({ path }) => path));
  return faultsOfChecks(resolved)
    .filter(({ path }) => !known.has(path))
    .map(({ path, message }) => ({ path: `spec.${path}`, message }));
}

function faultOf(type: CheckType, hasTcpSteps: boolean, earlier: string | undefined): string | undefined {
  if (type === "request-share")
    return "no step of a MeshUpgrade has an expected share of requests to compare with; remove it, or use request-success-rate";
  if (type === "tcp-connect-failures" && !hasTcpSteps)
    return "it judges only steps that move ztunnels or the CNI agent, and here there are none; remove it";
  return single.has(type) && earlier !== undefined
    ? `a step has only one check of type ${type}, and ${earlier} comes first; remove one of them`
    : undefined;
}

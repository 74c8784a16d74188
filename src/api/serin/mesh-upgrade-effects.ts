import { valueAt } from "../../base/index.ts";
import type { Reader } from "../reader.ts";
import type { CheckSpec, CheckType } from "./check-spec.ts";
import type { MeshUpgradeSpec } from "./mesh-upgrade.ts";

/** Warns of fields of a MeshUpgrade that the engine reads, but that change nothing beside the other fields. */
export function warnOfUpgradeFields(spec: Reader, upgrade: MeshUpgradeSpec): void {
  if (upgrade.from.revision === upgrade.to.revision) warnOfMoves(spec, upgrade);
  else warnOfScope(spec, upgrade);
  if (!upgrade.scope.cni && upgrade.to.cni !== undefined)
    spec.warnNoEffect("has no effect with scope.cni: false; remove one of them", "to.cni");
  warnOfChecks(spec, "checks", upgrade.checks, hasZtunnelSteps(upgrade) || hasCniSteps(upgrade));
  upgrade.waves.forEach(({ checks }, index) => {
    warnOfChecks(spec, `waves[${index}].checks`, checks, hasZtunnelSteps(upgrade) && upgrade.ztunnel.by !== "Node");
  });
}

const moveFields = ["waves", "ztunnel", "gateways", "waypoints", "retire"] as const;

/** Between two equal revisions, only the CNI agent and the root change. */
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
  // The defaults of both fields change nothing either.
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

/** The types of which a step has exactly one check: the first of its wave, of the spec, or the built-in one. */
const single: ReadonlySet<CheckType> = new Set<CheckType>(["tcp-connect-failures", "mtls-probe-matrix"]);

function warnOfChecks(spec: Reader, field: string, checks: readonly CheckSpec[], hasTcpSteps: boolean): void {
  checks.forEach(({ type, ref }, index) => {
    if (ref !== undefined) return;
    const first = checks.findIndex((other) => other.type === type && other.ref === undefined);
    const fault = faultOf(type, hasTcpSteps, first === index ? undefined : `${field}[${first}]`);
    if (fault !== undefined) spec.warnNoEffect(`has no effect: ${fault}`, `${field}[${index}]`);
  });
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

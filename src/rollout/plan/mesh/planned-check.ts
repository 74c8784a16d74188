import {
  checkDefaults,
  type CheckSpec,
  type CheckType,
  type MeshUpgrade,
  type UpgradeWave,
} from "../../../api/serin/index.ts";
import type { CheckSubject, PlannedCheck } from "../../decide/index.ts";

/** Plans a check. The wave's own check of the type replaces that of the spec, which replaces the default. */
export function check({ spec }: MeshUpgrade, type: CheckType, subject: CheckSubject, wave?: UpgradeWave): PlannedCheck {
  const isOfType = (candidate: CheckSpec): boolean => candidate.type === type;
  return { spec: wave?.checks.find(isOfType) ?? spec.checks.find(isOfType) ?? { ...checkDefaults, type }, subject };
}

/** Checks that do not apply to revisions: only ztunnels or probes can measure them, or they need a traffic weight. */
const notOfRevisions: ReadonlySet<CheckType> = new Set<CheckType>([
  "tcp-connect-failures",
  "request-share",
  "mtls-probe-matrix",
]);

/** Adds the checks that the spec or the wave names, if the proxies of both revisions count their metrics. */
export function namedChecks(
  { spec }: MeshUpgrade,
  planned: readonly PlannedCheck[],
  subject: CheckSubject,
  wave?: UpgradeWave,
): PlannedCheck[] {
  const named = [
    ...(wave?.checks ?? []),
    ...spec.checks.filter((own) => wave?.checks.some((other) => nameOf(other) === nameOf(own)) !== true),
  ];
  const added = named.filter(
    (own) => !notOfRevisions.has(own.type) && !planned.some(({ spec: other }) => nameOf(other) === nameOf(own)),
  );
  return [...planned, ...added.map((own) => ({ spec: own, subject }))];
}

function nameOf({ name, type }: CheckSpec): string {
  return name ?? type;
}

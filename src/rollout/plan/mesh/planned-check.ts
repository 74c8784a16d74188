import {
  checkDefaults,
  type CheckSpec,
  type CheckType,
  type MeshUpgrade,
  type UpgradeWave,
} from "../../../api/serin/index.ts";
import type { CheckSubject, PlannedCheck } from "../../decide/index.ts";

/** The limits of the wave for the type, else the spec's own, else the defaults. */
export function check({ spec }: MeshUpgrade, type: CheckType, subject: CheckSubject, wave?: UpgradeWave): PlannedCheck {
  const isOfType = (candidate: CheckSpec): boolean => candidate.type === type;
  return { spec: wave?.checks.find(isOfType) ?? spec.checks.find(isOfType) ?? { ...checkDefaults, type }, subject };
}

/** Those that ztunnels or probes alone can answer, and those of a weight that has none here. */
const notOfRevisions: ReadonlySet<CheckType> = new Set<CheckType>([
  "tcp-connect-failures",
  "request-share",
  "mtls-probe-matrix",
]);

/** Checks that the spec or the wave names and the step has not, of what proxies of the two revisions count. */
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

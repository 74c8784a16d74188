import { checkDefaults, type CheckSpec, type CheckType, type MeshUpgrade, type UpgradeWave } from "../../../api/serin/index.ts";
import type { CheckSubject, PlannedCheck } from "../../decide/index.ts";

/** The limits of the wave for the type, else the spec's own, else the defaults. */
export function check({ spec }: MeshUpgrade, type: CheckType, subject: CheckSubject, wave?: UpgradeWave): PlannedCheck {
  const isOfType = (candidate: CheckSpec): boolean => candidate.type === type;
  return { spec: wave?.checks.find(isOfType) ?? spec.checks.find(isOfType) ?? { ...checkDefaults, type }, subject };
}

/** Checks that the spec or the wave names and the step has not, of what proxies of the two revisions count. */
export function namedChecks({ spec }: MeshUpgrade, planned: readonly PlannedCheck[], subject: CheckSubject, wave?: UpgradeWave): PlannedCheck[] {
  const named = [...(wave?.checks ?? []), ...spec.checks.filter(({ type }) => wave?.checks.some((own) => own.type === type) !== true)];
  return [...planned, ...named.filter(({ type }) => !planned.some((own) => own.spec.type === type)).map((own) => ({ spec: own, subject }))];
}

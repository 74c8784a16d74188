import { textAt } from "../../../base/index.ts";
import type { UntypedObject } from "../../../api/index.ts";
import { isOfBanzai, operatedParts, referenceKey, type OperatedPart } from "../../decide/index.ts";
import type { ObjectReference } from "../../../api/serin/index.ts";
import type { EventAges } from "../event-ages.ts";

/**
 * A running operator begins to act on a changed object within this time. Used if the status does not say which
 * generation the operator has seen, as in the status of Istio's own operator, or if no operator runs.
 */
export const noticedWithinMs = 30_000;

/**
 * Why the operator has not yet installed a part as its object demands. Undefined if the part is installed. That the
 * part's workload runs is no proof: an operator that still acts on an earlier state of the object soon removes the
 * part, after undo has enabled it again.
 */
export function notBroughtAbout(
  reference: ObjectReference,
  operator: UntypedObject | undefined,
  part: OperatedPart,
  ages: Pick<EventAges, "notice" | "ageMs">,
): string | undefined {
  const { title } = operatedParts[part];
  const status = operator?.["status"];
  // Undo created the object anew, so this status is not that of the removed object.
  if (isOfBanzai(reference))
    return textAt(status, "Status") === "Available"
      ? undefined
      : notInstalledText(part, textAt(status, "ErrorMessage"));
  const { generation = 0, uid = "" } = operator?.metadata ?? {};
  const event = `${referenceKey(reference)} ${uid} at generation ${generation}`;
  ages.notice(event, true);
  const isSeen =
    Number(textAt(status, "observedGeneration")) >= generation || ages.ageMs(event, 0, 0) >= noticedWithinMs;
  if (!isSeen) return notInstalledText(part);
  // If the object still has no status, no operator manages it.
  if (status === undefined) return undefined;
  const ofPart = (field: string): string | undefined => textAt(status, "componentStatus", title, field);
  if (ofPart("status") === "HEALTHY") return undefined;
  const isFailed = textAt(status, "status") === "ERROR";
  return notInstalledText(part, isFailed ? (ofPart("error") ?? textAt(status, "message")) : undefined);
}

export function notInstalledText(part: OperatedPart, error?: string): string {
  const { workload } = operatedParts[part];
  return error === undefined
    ? `its operator has not installed ${workload} again yet; if it stays so, read the operator's log and its status`
    : `its operator cannot install ${workload}: ${error}`;
}

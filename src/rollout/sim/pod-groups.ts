import type { ObjectReference } from "../../api/serin/index.ts";
import { pointerNames } from "../../base/index.ts";
import { copyLabel } from "../plan/index.ts";

/** The pods of one Deployment, as far as they matter for traffic. */
export interface PodGroup {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly ready: number;
  readonly isCanary: boolean;
}

export function ownLabels({ labels }: PodGroup): Readonly<Record<string, string>> {
  const { app = "", [copyLabel]: role } = labels;
  return { app, ...(role === undefined ? {} : { [copyLabel]: role }) };
}

export function isSame(known: PodGroup | undefined, now: PodGroup): boolean {
  return (
    known !== undefined &&
    known.ready === now.ready &&
    known.labels["pod-template-hash"] === now.labels["pod-template-hash"]
  );
}

/** Whether the object is a Deployment of an application, or the copy of one. */
export function isApp({ kind, name }: ObjectReference): boolean {
  return kind === "Deployment" && (name.startsWith("app-") || name.startsWith("canary-"));
}

export function isCanaryApp({ name }: ObjectReference): boolean {
  return name.startsWith("canary-") || (name.startsWith("app-") && name.endsWith("-canary"));
}

const selectorPointer = "/spec/selector/";
/** A label in selectors that no pod has. No rollout writes it, so comparisons of snapshots leave it out. */
export const strangePointer = `${selectorPointer}strange`;

export function selectorOf(fields: ReadonlyMap<string, unknown>): Readonly<Record<string, string>> {
  const selector: Record<string, string> = {};
  for (const [pointer, value] of fields)
    if (pointer.startsWith(selectorPointer)) selector[pointerNames(pointer).at(-1) ?? ""] = String(value);
  return selector;
}

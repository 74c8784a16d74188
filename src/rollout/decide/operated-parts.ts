import type { ObjectReference } from "../../api/serin/index.ts";

/**
 * The parts of a revision that an operator installs from its IstioOperator, by the names of the components in its spec.
 * `title` is the part's name in the object's status and in the labels of what the operator has installed.
 */
export const operatedParts = {
  pilot: { title: "Pilot", workload: "istiod" },
  ztunnel: { title: "Ztunnel", workload: "ztunnel" },
} as const;

export type OperatedPart = keyof typeof operatedParts;

const names = Object.keys(operatedParts) as OperatedPart[];

export function partTitled(title: string): OperatedPart | undefined {
  return names.find((name) => operatedParts[name].title === title);
}

/** The field of an IstioOperator that removes a part if it is false. */
export function enabledPointer(part: OperatedPart): string {
  return `/spec/components/${part}/enabled`;
}

export function partEnabledBy(pointer: string): OperatedPart | undefined {
  return names.find((name) => enabledPointer(name) === pointer);
}

/** Whether the object is an `Istio` of Banzai Cloud's operator, which has no fields for single parts. */
export function isOfBanzai({ apiVersion }: Pick<ObjectReference, "apiVersion">): boolean {
  return apiVersion.startsWith("istio.banzaicloud.io/");
}

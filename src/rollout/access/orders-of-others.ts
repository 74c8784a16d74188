import type { UntypedObject } from "../../api/index.ts";

/** An order in the name of another user than the one who writes it. */
export interface ForeignOrder {
  readonly path: string;
  readonly by: string;
}

interface Ordered {
  readonly spec?: {
    readonly orderedBy?: { readonly by?: unknown } | null;
    readonly approvals?: unknown;
    readonly fullPromotion?: { readonly by?: unknown } | null;
  } | null;
}

/** The orders of a new object that are in the name of others. The object may be any that the schema admits. */
export function ordersOfOthers(object: UntypedObject, user: string): readonly ForeignOrder[] {
  const { spec } = object as Ordered;
  const approvals: readonly unknown[] = Array.isArray(spec?.approvals) ? spec.approvals : [];
  const named: [path: string, order: unknown][] = [
    ...approvals.map((approval, index): [string, unknown] => [`spec.approvals[${index}]`, approval]),
    ["spec.fullPromotion", spec?.fullPromotion],
    ["spec.orderedBy", spec?.orderedBy],
  ];
  return named.flatMap(([path, order]) => {
    const by = (order as { readonly by?: unknown } | null | undefined)?.by;
    return by === undefined || by === user
      ? []
      : [{ path: `${path}.by`, by: typeof by === "string" ? by : JSON.stringify(by) }];
  });
}

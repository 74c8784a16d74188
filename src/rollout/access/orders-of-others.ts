import type { UntypedObject } from "../../api/index.ts";

/** An order in the name of another user than the one who writes it. */
export interface ForeignOrder {
  readonly path: string;
  readonly by: string;
}

export interface PatchOperation {
  readonly op: "add" | "remove";
  readonly path: string;
  readonly value?: unknown;
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
  const named: [path: string, order: unknown][] = [
    ...approvalsOf(object).map((approval, index): [string, unknown] => [`spec.approvals[${index}]`, approval]),
    ["spec.fullPromotion", spec?.fullPromotion],
    ["spec.orderedBy", spec?.orderedBy],
  ];
  return named.flatMap(([path, order]) =>
    isOfOther(order, user)
      ? [{ path: `${path}.by`, by: typeof order.by === "string" ? order.by : JSON.stringify(order.by) }]
      : [],
  );
}

/**
 * The operations that leave only the user's own orders. A foreign order that stayed in the object could be obeyed
 * later.
 */
export function ownOrders(object: UntypedObject, user: string): readonly PatchOperation[] {
  const { spec } = object as Ordered;
  const approvals = approvalsOf(object);
  const own = approvals.filter((approval) => !isOfOther(approval, user));
  return [
    ...(own.length === approvals.length ? [] : [{ op: "add" as const, path: "/spec/approvals", value: own }]),
    ...(["fullPromotion", "orderedBy"] as const).flatMap((field): PatchOperation[] =>
      isOfOther(spec?.[field], user) ? [{ op: "remove", path: `/spec/${field}` }] : [],
    ),
  ];
}

function approvalsOf(object: UntypedObject): readonly unknown[] {
  const { spec } = object as Ordered;
  return Array.isArray(spec?.approvals) ? spec.approvals : [];
}

function isOfOther(order: unknown, user: string): order is { readonly by: unknown } {
  const by = (order as { readonly by?: unknown } | null | undefined)?.by;
  return by !== undefined && by !== user;
}

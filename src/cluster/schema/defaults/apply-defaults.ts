import { isObject, type JsonObject } from "../json.ts";
import type { Shape, StructShape } from "../shape.ts";
import { parseQuantity, quantityText } from "../quantity.ts";
import { coreDefaulters } from "./core.ts";
import type { Defaulters } from "./default-types.ts";
import { groupDefaulters } from "./groups.ts";
import { workloadDefaulters } from "./workloads.ts";

const prefixes = ["io.k8s.api.", "io.k8s.apiextensions-apiserver.pkg.apis."];
const defaulters: Defaulters = { ...coreDefaulters, ...workloadDefaulters, ...groupDefaulters };

/**
 * Fills in the defaults of a built-in kind in place, as kube-apiserver's defaulting functions and `+default` markers
 * do.
 */
export function applyBuiltInDefaults(shape: StructShape, value: JsonObject): void {
  const prefix = prefixes.find((candidate) => shape.name.startsWith(candidate));
  if (prefix !== undefined) defaulters[shape.name.slice(prefix.length)]?.(value);
  for (const field of shape.fields.values()) {
    const present = value[field.name];
    if (present === undefined || present === "") {
      if (field.default !== undefined) value[field.name] = field.default;
    } else if (typeof present === "object") descend(field.shape, present, shape.name);
  }
}

/** Rounds the amounts of a resource list up to thousandths, as Kubernetes does. */
function roundUp(amounts: JsonObject): void {
  for (const [name, text] of Object.entries(amounts)) {
    const amount = typeof text === "string" ? parseQuantity(text) : undefined;
    if (amount === undefined || amount.nanos % milli === 0n) continue;
    const nanos = (amount.nanos / milli + (amount.nanos > 0n ? 1n : 0n)) * milli;
    amounts[name] = quantityText({ ...amount, nanos });
  }
}

const milli = 1_000_000n;

function descend(shape: Shape, value: unknown, parent = ""): void {
  const isAmounts = shape.kind === "map" && shape.value.kind === "scalar" && shape.value.code === "Q";
  if (isAmounts && parent.startsWith("io.k8s.api.core.v1.") && isObject(value)) roundUp(value);
  if (shape.kind === "struct" && isObject(value)) applyBuiltInDefaults(shape, value);
  else if (shape.kind === "list" && Array.isArray(value) && shape.item.kind === "struct")
    for (const item of value) descend(shape.item, item);
  else if (shape.kind === "map" && isObject(value) && shape.value.kind === "struct")
    for (const item of Object.values(value)) descend(shape.value, item);
}

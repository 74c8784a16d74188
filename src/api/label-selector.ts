import { ownField } from "../base/index.ts";
import type { LabelSelector } from "./meta.ts";

export type Labels = Readonly<Record<string, string>>;

/**
 * Whether the labels match the selector. An empty selector matches everything, and an absent selector matches nothing
 * (metav1.LabelSelector).
 */
export function matchesLabelSelector(selector: LabelSelector | undefined, labels: Labels = {}): boolean {
  if (selector === undefined) return false;
  for (const [key, value] of Object.entries(selector.matchLabels ?? {})) if (labels[key] !== value) return false;
  for (const { key, operator, values = [] } of selector.matchExpressions ?? []) {
    const found = ownField(labels, key);
    switch (operator) {
      case "In":
        if (found === undefined || !values.includes(found)) return false;
        break;
      case "NotIn":
        if (found !== undefined && values.includes(found)) return false;
        break;
      case "Exists":
        if (found === undefined) return false;
        break;
      case "DoesNotExist":
        if (found !== undefined) return false;
        break;
    }
  }
  return true;
}

/**
 * Whether the labels contain all wanted labels. An empty set of wanted labels matches nothing, as in a Service's
 * selector.
 */
export function matchesLabels(wanted: Labels | undefined, labels: Labels = {}): boolean {
  const entries = Object.entries(wanted ?? {});
  return entries.length > 0 && entries.every(([key, value]) => labels[key] === value);
}

/** The selector in the form of a list's `labelSelector` parameter: `app=web,tier in (a,b),!old`. */
export function formatLabelSelector(selector: LabelSelector): string {
  const parts = Object.entries(selector.matchLabels ?? {}).map(([key, value]) => `${key}=${value}`);
  for (const { key, operator, values = [] } of selector.matchExpressions ?? []) {
    if (operator === "Exists") parts.push(key);
    else if (operator === "DoesNotExist") parts.push(`!${key}`);
    else parts.push(`${key} ${operator === "In" ? "in" : "notin"} (${values.join(",")})`);
  }
  return parts.join(",");
}

import { isTree, ownField } from "../base/index.ts";

/**
 * One step of a path: a field's name, an index of a list (-1 appends), or the field and value that identify an element
 * of a list, written as `[name:discovery]`.
 */
export type PathStep = string | number | { readonly field: string; readonly value: string };

/**
 * Splits a path such as `spec.containers.[name:discovery].args[0]`. Dots in brackets, or after a backslash, do not
 * split.
 */
export function parseFieldPath(path: string): PathStep[] {
  const steps: PathStep[] = [];
  for (const match of path.matchAll(/\[([^\]]*)\]|((?:\\.|[^.[\]\\])+)/g)) {
    const [, bracket, field] = match;
    if (field !== undefined) steps.push(field.replaceAll("\\", ""));
    else if (bracket !== undefined) steps.push(bracketStep(bracket));
  }
  return steps;
}

function bracketStep(text: string): PathStep {
  if (/^(\d+|-1)$/.test(text)) return Number(text);
  const colon = text.indexOf(":");
  if (colon === -1) return text;
  return { field: text.slice(0, colon), value: text.slice(colon + 1) };
}

/**
 * Returns a copy of `tree` with the value at the path replaced, or deleted if `value` is undefined. Creates missing
 * objects and lists on the way. As in istioctl, an index beyond the end of a list appends to it.
 */
export function setAtPath(tree: unknown, steps: readonly PathStep[], value: unknown): unknown {
  const [step, ...rest] = steps;
  if (step === undefined) return value;
  if (typeof step === "string") {
    const copy: Record<string, unknown> = isTree(tree) ? { ...tree } : {};
    const next = setAtPath(ownField(copy, step), rest, value);
    // Spread instead of assigning, because an assignment would lose a field named __proto__.
    if (next !== undefined) return { ...copy, [step]: next };
    delete copy[step];
    return copy;
  }
  const list: unknown[] = Array.isArray(tree) ? [...(tree as unknown[])] : [];
  let index =
    typeof step === "number" ? step : list.findIndex((item) => isTree(item) && String(item[step.field]) === step.value);
  if (index === -1 || index > list.length) index = list.length;
  const next = setAtPath(
    list[index] ?? (typeof step === "object" && rest.length > 0 ? { [step.field]: step.value } : undefined),
    rest,
    value,
  );
  if (next === undefined) list.splice(index, 1);
  else list[index] = next;
  return list;
}

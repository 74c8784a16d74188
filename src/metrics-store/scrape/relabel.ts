import { createHash } from "node:crypto";
import { expand, type compileWhole } from "../../promql/index.ts";

/** The labels of a target or sample during relabelling. An absent label counts as empty. */
export type LabelSet = ReadonlyMap<string, string>;

export const relabelActions = [
  "replace",
  "keep",
  "drop",
  "keepequal",
  "dropequal",
  "hashmod",
  "labelmap",
  "labeldrop",
  "labelkeep",
  "lowercase",
  "uppercase",
] as const;
export type RelabelAction = (typeof relabelActions)[number];

export interface RelabelRule {
  readonly action: RelabelAction;
  readonly sourceLabels: readonly string[];
  readonly separator: string;
  readonly regex: ReturnType<typeof compileWhole>;
  readonly targetLabel: string;
  readonly replacement: string;
  readonly modulus: number;
}

/** The labels after all rules. Undefined if a rule drops the target or sample. */
export function relabel(labels: LabelSet, rules: readonly RelabelRule[]): LabelSet | undefined {
  if (rules.length === 0) return labels;
  const changed = new Map(labels);
  for (const rule of rules) if (!apply(changed, rule)) return undefined;
  return changed;
}

const labelName = /^[a-zA-Z_][a-zA-Z0-9_]*$/;

/** Applies one rule. Returns false if the rule drops the target or sample. */
function apply(labels: Map<string, string>, rule: RelabelRule): boolean {
  const value = rule.sourceLabels.map((name) => labels.get(name) ?? "").join(rule.separator);
  const target = labels.get(rule.targetLabel) ?? "";
  switch (rule.action) {
    case "keep":
      return rule.regex.matcher(value).matches();
    case "drop":
      return !rule.regex.matcher(value).matches();
    case "keepequal":
      return value === target;
    case "dropequal":
      return value !== target;
    case "replace":
      replace(labels, rule, value);
      return true;
    case "lowercase":
      set(labels, rule.targetLabel, value.toLowerCase());
      return true;
    case "uppercase":
      set(labels, rule.targetLabel, value.toUpperCase());
      return true;
    case "hashmod":
      set(labels, rule.targetLabel, String(hashOf(value) % BigInt(rule.modulus)));
      return true;
    case "labelmap":
      for (const [name, own] of labels) {
        const mapped = expand(rule.regex, name, rule.replacement);
        if (mapped !== undefined) set(labels, mapped, own);
      }
      return true;
    case "labeldrop":
      for (const name of labels.keys()) if (rule.regex.matcher(name).matches()) labels.delete(name);
      return true;
    case "labelkeep":
      for (const name of labels.keys()) if (!rule.regex.matcher(name).matches()) labels.delete(name);
      return true;
  }
}

function replace(labels: Map<string, string>, { regex, targetLabel, replacement }: RelabelRule, value: string): void {
  const name = expand(regex, value, targetLabel);
  const replaced = expand(regex, value, replacement);
  if (name !== undefined && replaced !== undefined && labelName.test(name)) set(labels, name, replaced);
}

function set(labels: Map<string, string>, name: string, value: string): void {
  if (value === "") labels.delete(name);
  else labels.set(name, value);
}

/**
 * The last eight bytes of the MD5 sum. Prometheus uses the same ones, so servers agree on which of them scrapes a
 * target.
 */
function hashOf(value: string): bigint {
  return createHash("md5").update(value).digest().readBigUInt64BE(8);
}

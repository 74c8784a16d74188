import type { RE2JS } from "re2js";
import { ownField, userError } from "../base/index.ts";
import { withLabel } from "./labels.ts";
import { boundMatch, compileWhole } from "./matcher.ts";
import type { Sample } from "./values.ts";

/** Called with the number of characters before a label is written. Throws an error if the query writes too much. */
type WriteLabel = (characters: number) => void;

/** Evaluates `label_replace(v, destination, replacement, source, regex)`. */
export function replaceLabel(
  samples: readonly Sample[],
  [destination = "", replacement = "", source = "", expression = ""]: readonly string[],
  writeLabel: WriteLabel,
): Sample[] {
  checkName("label_replace", destination);
  const compiled = compileWhole(expression);
  return samples.map(({ labels, value }) => {
    const text = labels.get(source) ?? "";
    // The maximum length of the result, because each dollar sign of the replacement can insert the text once.
    writeLabel(replacement.length + text.length * (replacement.split("$").length - 1));
    boundMatch(compiled, text);
    const replaced = expand(compiled, text, replacement);
    return { labels: replaced === undefined ? labels : withLabel(labels, destination, replaced), value };
  });
}

/** Evaluates `label_join(v, destination, separator, source…)`. */
export function joinLabels(
  samples: readonly Sample[],
  [destination = "", separator = "", ...sources]: readonly string[],
  writeLabel: WriteLabel,
): Sample[] {
  checkName("label_join", destination);
  return samples.map(({ labels, value }) => {
    const texts = sources.map((name) => labels.get(name) ?? "");
    writeLabel(texts.reduce((sum, text) => sum + text.length + separator.length, 0));
    return { labels: withLabel(labels, destination, texts.join(separator)), value };
  });
}

function checkName(name: string, label: string): void {
  if (!/^[a-zA-Z_][a-zA-Z0-9_]*$/.test(label))
    throw userError("bad-query", `${name}: "${label}" is not a valid label name`);
}

const reference = /\$(?:\$|(\w+)|\{(\w+)\})/g;

/**
 * The replacement, with `$1`, `${1}` and `${name}` filled in. Undefined if the expression does not match the whole
 * text.
 */
export function expand(expression: RE2JS, text: string, replacement: string): string | undefined {
  const matcher = expression.matcher(text);
  if (!matcher.matches()) return undefined;
  const named = expression.namedGroups();
  return replacement.replaceAll(reference, (whole, bare?: string, braced?: string) => {
    const group = bare ?? braced;
    if (group === undefined) return whole.slice(1);
    const index = /^\d+$/.test(group) ? Number(group) : ownField(named, group);
    if (index === undefined || index > matcher.groupCount()) return "";
    return matcher.group(index) ?? "";
  });
}

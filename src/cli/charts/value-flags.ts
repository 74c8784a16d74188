import { userError } from "../../base/index.ts";
import { parseFieldPath, setAtPath } from "../../install/index.ts";

/**
 * Applies the text of one of helm's flags `--set` and `--set-string` to the values: `a.b=c,d[0]=e,f={x,y}`. A backslash
 * escapes a comma or a dot.
 */
export function applyHelmSet(values: unknown, text: string, flag: "--set" | "--set-string"): unknown {
  return assignments(text).reduce<unknown>((tree, assignment) => {
    const equals = assignment.indexOf("=");
    if (equals <= 0)
      throw userError("argument-invalid", `${flag} ${text}: "${assignment}" must be path=value`, {
        hint: `${flag} operator.image.tag=0.6.12`,
      });
    const value = assignment.slice(equals + 1);
    return setAtPath(
      tree,
      parseFieldPath(assignment.slice(0, equals)),
      flag === "--set" ? typed(value) : listOr(value, plain),
    );
  }, values);
}

/** Splits at commas that are neither inside braces nor escaped. */
function assignments(text: string): string[] {
  return (text.match(/(?:\\.|\{[^}]*\}|[^,\\])+/g) ?? []).filter((part) => part.trim() !== "");
}

function listOr(text: string, read: (item: string) => unknown): unknown {
  if (!text.startsWith("{") || !text.endsWith("}")) return read(text);
  const inner = text.slice(1, -1);
  return inner === "" ? [] : (inner.match(/(?:\\.|[^,\\])+/g) ?? []).map(read);
}

function typed(text: string): unknown {
  return listOr(text, (item) => {
    if (item === "true" || item === "false") return item === "true";
    // Null removes the chart's default for the field.
    if (item === "null") return null;
    return /^-?(0|[1-9]\d{0,14})$/.test(item) ? Number(item) : plain(item);
  });
}

function plain(text: string): string {
  return text.replaceAll(/\\(.)/g, "$1");
}

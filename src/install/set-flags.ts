import type { FieldIssue } from "../api/index.ts";
import { parseFieldPath, setAtPath } from "./field-path.ts";

export interface SetFlag {
  readonly path: string;
  readonly value: unknown;
}

/**
 * Reads `a.b[0].c=value` flags. Values are read as by helm: true, false, whole numbers, and `{a,b}` for lists.
 * Everything else is a string.
 */
export function parseSetFlags(texts: readonly string[]): {
  readonly flags: readonly SetFlag[];
  readonly errors: readonly FieldIssue[];
} {
  const flags: SetFlag[] = [];
  const errors: FieldIssue[] = [];
  for (const text of texts) {
    const equals = text.indexOf("=");
    if (equals <= 0) {
      errors.push({ path: `--set ${text}`, message: "must be path=value, such as profile=ambient" });
      continue;
    }
    const path = text.slice(0, equals).replace(/^spec\./, "");
    flags.push({ path, value: valueOf(path, text.slice(equals + 1)) });
  }
  return { flags, errors };
}

/** Sets each flag's value at its path, in order. `null` deletes. */
export function applySetFlags(tree: unknown, flags: readonly SetFlag[]): unknown {
  return flags.reduce((result, flag) => setAtPath(result, parseFieldPath(flag.path), flag.value), tree);
}

const alwaysStrings = new Set(["tag", "hub", "revision", "profile", "namespace"]);

function valueOf(path: string, text: string): unknown {
  if (alwaysStrings.has(path)) return text;
  if (text === "true") return true;
  if (text === "false") return false;
  if (text === "null") return undefined;
  if (/^-?(0|[1-9]\d{0,14})$/.test(text)) return Number(text);
  if (text.startsWith("{") && text.endsWith("}"))
    return text
      .slice(1, -1)
      .split(",")
      .filter((item) => item !== "");
  return text;
}

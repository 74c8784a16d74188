import type { FieldIssue } from "../api/index.ts";
import { parseFieldPath, setAtPath } from "./field-path.ts";

export interface SetFlag {
  readonly path: string;
  readonly value: unknown;
}

/**
 * Parses flags of the form `a.b[0].c=value`. As in Helm, a value is true, false, null, a whole number or a list such as
 * `{a,b}`. Everything else is a string.
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

/** Sets the value of each flag at its path, in order. The value `null` deletes the field. */
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

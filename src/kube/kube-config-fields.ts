import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { userError } from "../base/index.ts";

export type Fields = Readonly<Record<string, unknown>>;

/** An entry of a kubeconfig's lists. */
export interface Named<Value> {
  readonly name: string;
  readonly value: Value;
  /** Relative paths in a kubeconfig are relative to its file. */
  readonly directory: string;
}

/** A text, unless it is empty. */
export function text(fields: Fields, name: string): string | undefined {
  const value = fields[name];
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** Whether a text may be the value of an HTTP header. Any other text would make the request fail. */
export function isHeaderText(value: string): boolean {
  return /^[\t\x20-\x7e\x80-\xff]*$/.test(value);
}

/** A field's value in base64, or the content of the file that another field names. */
export async function inlineOrFile(entry: Named<Fields>, field: string): Promise<string | undefined> {
  const inline = text(entry.value, `${field}-data`);
  if (inline !== undefined) return Buffer.from(inline, "base64").toString("utf8");
  const path = text(entry.value, field);
  return path === undefined
    ? undefined
    : await readNamed(resolve(entry.directory, path), `${field} of "${entry.name}"`);
}

export async function readNamed(path: string, meaning: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw userError("kubeconfig-invalid", `cannot read ${meaning} at ${path}`, { cause: error });
  }
}

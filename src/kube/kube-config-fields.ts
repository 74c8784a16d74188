import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { isTree, userError, type Tree } from "../base/index.ts";

/** An object in a kubeconfig. */
interface Titled {
  /** The object in messages: `user "me" of /home/me/.kube/config`. */
  readonly title: string;
  readonly value: Tree;
}

/** An entry of a kubeconfig's lists. */
export interface Named extends Titled {
  readonly name: string;
  /** The directory of the kubeconfig. Relative paths in it are relative to this directory. */
  readonly directory: string;
}

/**
 * A text field, or undefined if it is absent or empty. Throws a user error if it has another type. Like kubectl's
 * errors, the error does not quote the value.
 */
export function text({ title, value }: Titled, name: string): string | undefined {
  const found = value[name] ?? "";
  if (typeof found !== "string")
    throw userError("kubeconfig-invalid", `${name} of ${title} must be a string`, {
      hint: "put quotes around a number or a word such as true",
    });
  return found === "" ? undefined : found;
}

/** Whether a field is true. Throws a user error if the field is not a boolean. */
export function flag({ title, value }: Titled, name: string): boolean {
  const found = value[name] ?? false;
  if (typeof found !== "boolean") throw userError("kubeconfig-invalid", `${name} of ${title} must be true or false`);
  return found;
}

/**
 * The object in a field, or an empty object if the field is absent. Throws a user error if the field has another type.
 */
export function object({ title, value }: Titled, name: string): Tree {
  const found = value[name] ?? {};
  if (!isTree(found)) throw userError("kubeconfig-invalid", `${name} of ${title} must be an object`);
  return found;
}

/** Whether a text may be the value of an HTTP header. Any other text would make the request fail. */
export function isHeaderText(value: string): boolean {
  return /^[\t\x20-\x7e\x80-\xff]*$/.test(value);
}

/** A field's value in base64, or the content of the file that another field names. */
export async function inlineOrFile(entry: Named, field: string): Promise<string | undefined> {
  const inline = text(entry, `${field}-data`);
  if (inline !== undefined) return Buffer.from(inline, "base64").toString("utf8");
  const path = text(entry, field);
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

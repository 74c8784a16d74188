import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { isTree, userError, type Tree } from "../base/index.ts";

/** An object of a kubeconfig, with its name for error messages. */
interface Titled {
  /** The name in error messages: `user "me" of /home/me/.kube/config`. */
  readonly title: string;
  readonly value: Tree;
}

export interface Named extends Titled {
  readonly name: string;
  /** The kubeconfig's directory. Relative paths in the kubeconfig start there. */
  readonly directory: string;
}

/**
 * Returns a text field, or undefined if it is absent or empty. Throws a user error for another type. Like kubectl, does
 * not quote the value, which may be a secret.
 */
export function text({ title, value }: Titled, name: string): string | undefined {
  const found = value[name] ?? "";
  if (typeof found !== "string")
    throw userError("kubeconfig-invalid", `${name} of ${title} must be a string`, {
      hint: "put quotes around a number or a word such as true",
    });
  return found === "" ? undefined : found;
}

/** Returns a boolean field, or false if it is absent. Throws a user error for another type. */
export function flag({ title, value }: Titled, name: string): boolean {
  const found = value[name] ?? false;
  if (typeof found !== "boolean") throw userError("kubeconfig-invalid", `${name} of ${title} must be true or false`);
  return found;
}

/** Returns an object field, or an empty object if it is absent. Throws a user error for another type. */
export function object({ title, value }: Titled, name: string): Tree {
  const found = value[name] ?? {};
  if (!isTree(found)) throw userError("kubeconfig-invalid", `${name} of ${title} must be an object`);
  return found;
}

/** Whether a text is a valid value of an HTTP header. */
export function isHeaderText(value: string): boolean {
  return /^[\t\x20-\x7e\x80-\xff]*$/.test(value);
}

/** Returns the decoded base64 of the field `<field>-data`, or else the content of the file that `field` names. */
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

import { isTree } from "../../base/index.ts";
import { shown } from "../decide/index.ts";

/**
 * Describes the first fault of a list that should contain journal entries, with its field. Undefined if there is none.
 * The engine is the only program that writes journals, but a person may edit them.
 */
export function faultOfEntries(entries: unknown): string | undefined {
  // A person may have written a journal without entries.
  if (entries === undefined) return undefined;
  if (!Array.isArray(entries)) return `entries: expected a list, got ${shown(entries)}`;
  for (const [index, entry] of entries.entries()) {
    const fault = faultOfEntry(entry);
    if (fault !== undefined) return `entries[${index}]${fault}`;
  }
  return undefined;
}

function faultOfEntry(entry: unknown): string | undefined {
  if (!isTree(entry)) return `: expected an object, got ${shown(entry)}`;
  const { type, step, object, pointer, body } = entry;
  if (type !== "field" && type !== "created" && type !== "deleted")
    return `.type: expected field, created or deleted, got ${shown(type)}`;
  if (typeof step !== "string") return `.step: expected the id of a step, got ${shown(step)}`;
  if (!isTree(object)) return `.object: expected a reference to an object, got ${shown(object)}`;
  for (const field of ["apiVersion", "kind", "plural", "name"])
    if (typeof object[field] !== "string" || object[field] === "")
      return `.object.${field}: expected a text, got ${shown(object[field])}`;
  if (type === "field" && (typeof pointer !== "string" || !pointer.startsWith("/")))
    return `.pointer: expected a JSON pointer, got ${shown(pointer)}`;
  if (type === "deleted" && (!isTree(body) || !isTree(body["metadata"])))
    return `.body: expected the deleted object, got ${shown(body)}`;
  return undefined;
}

import { messageOf, userError } from "../base/index.ts";
import type { UntypedObject } from "../api/index.ts";

/**
 * Yields the objects of a manifest with YAML or JSON documents. A document that begins with a brace is parsed as JSON,
 * which is about a hundred times as fast as YAML. For this reason, a release's CRDs are JSON.
 */
export async function* objectsInManifest(manifest: string): AsyncGenerator<UntypedObject> {
  for (const [index, part] of manifest.split(/^---[ \t]*$/m).entries()) {
    if (isBlank(part)) continue;
    const object = await documentOf(part, index + 1);
    if (object !== null && typeof object === "object") yield object;
  }
}

/** Whether the text has only comments and empty lines. */
function isBlank(text: string): boolean {
  return text.split("\n").every((line) => /^[ \t\r]*(?:#|$)/.test(line));
}

/** Parses a document. Throws a user error for invalid, too deeply nested or otherwise unreadable documents. */
async function documentOf(text: string, ordinal: number): Promise<UntypedObject | null> {
  try {
    if (text.trimStart().startsWith("{")) return JSON.parse(text) as UntypedObject | null;
    // Load the YAML parser only when needed, because loading takes longer than parsing a whole file of JSON documents.
    const yaml = await import("yaml");
    return yaml.parse(text, { logLevel: "error" }) as UntypedObject | null;
  } catch (error) {
    const reason = error instanceof RangeError ? "it is nested too deeply" : messageOf(error);
    throw userError("file-invalid", `document ${ordinal} of the manifest cannot be read: ${reason}`, {
      cause: error,
    });
  }
}

import { messageOf, userError } from "../base/index.ts";
import type { UntypedObject } from "../api/index.ts";

/**
 * The objects of a file with YAML or JSON documents, one at a time. A document that begins with a brace is parsed as
 * JSON, which takes a hundredth of the time. The CRDs of a release are JSON for this reason.
 */
export async function* objectsInManifest(manifest: string): AsyncGenerator<UntypedObject> {
  for (const [index, part] of manifest.split(/^---[ \t]*$/m).entries()) {
    if (isBlank(part)) continue;
    const object = await documentOf(part, index + 1);
    if (object !== null && typeof object === "object") yield object;
  }
}

/** Whether the text has only comments and empty lines, as before the first separator of a file. */
function isBlank(text: string): boolean {
  return text.split("\n").every((line) => /^[ \t\r]*(?:#|$)/.test(line));
}

/**
 * Parses a document. Deep nesting overflows the parser's stack, and an undefined alias makes the parser throw. Both
 * become a user error about the document.
 */
async function documentOf(text: string, ordinal: number): Promise<UntypedObject | null> {
  try {
    if (text.trimStart().startsWith("{")) return JSON.parse(text) as UntypedObject | null;
    // The YAML parser is imported on demand, because loading it takes longer than reading a whole file of JSON
    // documents.
    const yaml = await import("yaml");
    return yaml.parse(text, { logLevel: "error" }) as UntypedObject | null;
  } catch (error) {
    const reason = error instanceof RangeError ? "it is nested too deeply" : messageOf(error);
    throw userError("file-invalid", `document ${ordinal} of the manifest cannot be read: ${reason}`, {
      cause: error,
    });
  }
}

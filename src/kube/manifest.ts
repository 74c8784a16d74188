import { messageOf, userError } from "../base/index.ts";
import type { UntypedObject } from "../api/index.ts";

/**
 * The objects of a file with YAML or JSON documents, one at a time. A document that begins with a brace is parsed as
 * JSON, which takes a hundredth of the time. The definitions of a release are written in that form.
 */
export async function* objectsInManifest(manifest: string): AsyncGenerator<UntypedObject> {
  const yaml = await import("yaml");
  const parse = (text: string): unknown => yaml.parse(text, { logLevel: "error" });
  for (const [index, part] of manifest.split(/^---[ \t]*$/m).entries()) {
    const object = documentOf(part, index + 1, parse);
    if (object !== null && typeof object === "object") yield object;
  }
}

/** Deep nesting overflows a parser's stack, and an undefined alias throws. In both cases the document is at fault. */
function documentOf(text: string, ordinal: number, parse: (text: string) => unknown): UntypedObject | null {
  try {
    return (text.trimStart().startsWith("{") ? JSON.parse(text) : parse(text)) as UntypedObject | null;
  } catch (error) {
    const reason = error instanceof RangeError ? "it is nested too deeply" : messageOf(error);
    throw userError("file-invalid", `document ${ordinal} of the manifest cannot be read: ${reason}`, {
      cause: error,
    });
  }
}

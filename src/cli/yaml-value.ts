import type { Tags } from "yaml";
import { messageOf, userError } from "../base/index.ts";

/** Types of YAML 1.1 that Kubernetes' tools do not read. Their texts stay texts. */
const unreadTypes: ReadonlySet<string> = new Set(["timestamp", "binary", "omap", "pairs", "set"]);

/**
 * How Kubernetes' tools read files: by YAML 1.1, in which `0644` is octal, `yes` is true and `<<` merges a map, but
 * `22:22` is a text.
 */
export const readForKubernetes = {
  version: "1.1" as const,
  customTags: (tags: Tags): Tags =>
    tags.filter(
      (tag) =>
        typeof tag === "string" ||
        (tag.format !== "TIME" && !unreadTypes.has(tag.tag.replace("tag:yaml.org,2002:", ""))),
    ),
};

/** Quotes texts that Kubernetes' tools would read as something else, such as `no`. */
export const writtenForKubernetes = { compat: "yaml-1.1" };

/**
 * The value of a YAML document of the file. The reader throws its own errors for aliases of unknown anchors, and for
 * aliases that would fill the memory. Both are the file's fault.
 */
export function yamlValue(file: string, document: { readonly toJS: () => unknown }): unknown {
  try {
    return document.toJS();
  } catch (error) {
    throw userError(
      "file-invalid",
      `${file}: the aliases (*name) of its YAML cannot be resolved: ${messageOf(error)}`,
      {
        hint: "write the repeated parts out, or generate the file with fewer aliases",
      },
    );
  }
}

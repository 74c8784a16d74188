import { jsonText, userError } from "../../base/index.ts";
import { writtenForKubernetes } from "../../base/kubernetes-yaml/index.ts";

export type OutputFormat = "json" | "yaml" | "table";

/** Parses the value of `-o`. `short`, `table` and no value mean the table. */
export function outputFormat(
  output: string | undefined,
  known: readonly string[] = ["json", "yaml", "short"],
): OutputFormat {
  if (output === undefined || output === "" || output === "short" || output === "table") return "table";
  if (output === "json" || output === "yaml") return output;
  throw userError(
    "argument-invalid",
    `--output ${output} is unknown: expected ${known.slice(0, -1).join(", ")} or ${known.at(-1) ?? ""}`,
  );
}

/** Objects as kubectl prints several of them. */
export async function renderObjects(items: readonly unknown[], format: "json" | "yaml"): Promise<string> {
  return await renderValue({ apiVersion: "v1", kind: "List", items }, format);
}

export async function renderValue(value: unknown, format: "json" | "yaml"): Promise<string> {
  if (format === "json") return jsonText(value);
  // Loading it takes time, and most commands do not need it.
  const { stringify } = await import("yaml");
  return stringify(value, { ...writtenForKubernetes, lineWidth: 0 });
}

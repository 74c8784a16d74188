import type { Command } from "commander";
import { parseAllDocuments, stringify } from "yaml";
import type { UntypedObject } from "../../api/index.ts";
import { userError } from "../../base/index.ts";
import { readForKubernetes, writtenForKubernetes } from "../../base/kubernetes-yaml/index.ts";
import { convertRollouts } from "../../convert/index.ts";
import { yamlValue } from "../yaml-value.ts";
import type { CliContext } from "../context.ts";

interface ImportFlags {
  readonly filename: readonly string[];
  readonly json?: boolean;
}

/**
 * `serin canary import`: converts rollouts of other tools to YAML on standard output. Reports on standard error what
 * was not converted.
 */
export function importCommand(canary: Command, context: CliContext): void {
  canary
    .command("import")
    .description(
      "convert the Rollouts of Argo Rollouts and the Canaries of Flagger, with their templates, to Canaries and Checks",
    )
    .requiredOption("-f, --filename <file...>", "the files to convert; - is standard input")
    .option("--json", "print the objects and the notes as one JSON object")
    .action(async ({ filename, json }: ImportFlags) => {
      const sources = (
        await Promise.all(filename.map(async (file) => objectsOf(file, await context.readFile(file))))
      ).flat();
      const { objects, notes } = convertRollouts(sources);
      if (json === true) {
        context.out(`${JSON.stringify({ objects, notes })}\n`);
        return;
      }
      for (const { object, path, message } of notes) context.err(`${object}: ${path}: ${message}\n`);
      if (!objects.some(({ kind }) => kind === "Canary"))
        throw userError(
          "file-invalid",
          `${filename.join(", ")}: found no Rollout of Argo Rollouts and no Canary of Flagger`,
        );
      context.out(objects.map((object) => stringify(object, writtenForKubernetes)).join("---\n"));
    });
}

function objectsOf(file: string, text: string): UntypedObject[] {
  return parseAllDocuments(text, readForKubernetes).flatMap((document, index) => {
    const [problem] = document.errors;
    if (problem !== undefined)
      throw userError("file-invalid", `${file}: document ${index + 1} is not YAML: ${problem.message}`);
    const value = yamlValue(file, document) as Partial<UntypedObject> | null;
    if (value === null || value === undefined) return [];
    if (typeof value !== "object" || typeof value.kind !== "string")
      throw userError("file-invalid", `${file}: document ${index + 1}: kind: is required`);
    const isRollout = /^(argoproj\.io|flagger\.app)\//.test(value.apiVersion ?? "");
    if (isRollout && typeof value.metadata?.name !== "string")
      throw userError("file-invalid", `${file}: document ${index + 1}: metadata.name: is required`);
    return [{ ...value, metadata: value.metadata ?? {} }];
  });
}

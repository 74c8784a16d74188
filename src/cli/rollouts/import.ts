import type { Command } from "commander";
import * as yaml from "yaml";
import type { UntypedObject } from "../../api/index.ts";
import { isTree, jsonText, userError, valueAt } from "../../base/index.ts";
import { fieldTypes, withFieldTypes } from "../../base/field-types/index.ts";
import { documentsForKubernetes, writtenForKubernetes } from "../../base/kubernetes-yaml/index.ts";
import { convertRollouts } from "../../convert/index.ts";
import { refuseSyntaxErrors, yamlValue } from "../yaml-value.ts";
import type { CliContext } from "../context.ts";
import { sourceName } from "../user-file.ts";

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
        await Promise.all(filename.map(async (file) => objectsOf(sourceName(file), await context.readFile(file))))
      ).flat();
      const { objects, notes } = convertRollouts(sources);
      if (json === true) {
        context.out(jsonText({ objects, notes }));
        return;
      }
      for (const { object, path, message } of notes) context.err(`${object}: ${path}: ${message}\n`);
      if (!objects.some(({ kind }) => kind === "Canary"))
        throw userError(
          "file-invalid",
          `${filename.join(", ")}: found no Rollout of Argo Rollouts and no Canary of Flagger`,
        );
      context.out(objects.map((object) => yaml.stringify(object, writtenForKubernetes)).join("---\n"));
    });
}

const { always, object, text: textField, textMap } = fieldTypes;
const objectFields = {
  apiVersion: textField,
  kind: textField,
  metadata: always(object({ name: textField, namespace: textField, labels: textMap, annotations: textMap }), {}),
};

function objectsOf(file: string, text: string): UntypedObject[] {
  return documentsForKubernetes(yaml, text).flatMap((document, index) => {
    refuseSyntaxErrors(file, document);
    const raw = yamlValue(file, document) ?? null;
    return raw === null ? [] : membersOf(raw, `${file}: document ${index + 1}`);
  });
}

/** The object, or the members of a List as kubectl prints it. */
function membersOf(raw: unknown, place: string): UntypedObject[] {
  const [kind, items] = [valueAt(raw, "kind"), valueAt(raw, "items")];
  return typeof kind === "string" && kind.endsWith("List") && Array.isArray(items)
    ? items.map((item, index) => objectOf(item, `${place}: items[${index}]`))
    : [objectOf(raw, place)];
}

function objectOf(raw: unknown, place: string): UntypedObject {
  const { value, faults } = withFieldTypes(isTree(raw) ? (raw as UntypedObject) : { metadata: {} }, objectFields);
  const [fault] = faults;
  if (fault !== undefined) throw userError("file-invalid", `${place}: ${fault.path}: ${fault.message}`);
  if (value.kind === undefined) throw userError("file-invalid", `${place}: kind: is required`);
  const isRollout = /^(argoproj\.io|flagger\.app)\//.test(value.apiVersion ?? "");
  if (isRollout && value.metadata.name === undefined)
    throw userError("file-invalid", `${place}: metadata.name: is required`);
  return value;
}

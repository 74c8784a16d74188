// Reads the YAML of mesh configs and mesh networks, as istiod reads it.
import type * as Yaml from "yaml";
import { loadPackage, messageOf, SerinError, userError } from "../../base/index.ts";
import { valueForKubernetes } from "../../base/kubernetes-yaml/index.ts";
import { yamlNestingFault } from "../../base/yaml-bounds/index.ts";
import { parseMeshConfig, withJsonNames, type MeshConfig } from "../istio/index.ts";
import { formatIssues, type FieldIssue, type Parsed } from "../parsed.ts";

/** What a text configures, for messages, and the parser for it. */
export interface MeshText<Config> {
  readonly noun: string;
  readonly parse: (raw: unknown) => Parsed<Config>;
}

/** Parses the YAML of a mesh config or of mesh networks. Throws a user error in which `where` names the text. */
export function meshTextTree(text: string, where: string): unknown {
  const tooDeep = yamlNestingFault(text);
  if (tooDeep !== undefined) throw userError("bad-mesh-config", `${where} ${tooDeep}`);
  try {
    return withJsonNames(valueForKubernetes(loadPackage<typeof Yaml>("yaml"), text));
  } catch (error) {
    // Only the first line names the fault. The others quote the text around it.
    const [fault = ""] = messageOf(error).split("\n");
    throw userError("bad-mesh-config", `${where} is not valid YAML: ${fault.replace(/:$/, "")}`);
  }
}

/**
 * The configuration with its defaults. An empty text has all defaults. Throws a user error that names all invalid
 * fields.
 */
export function parseMeshText<Config>(
  text: string,
  where: string,
  { noun, parse }: MeshText<Config>,
): { readonly config: Config; readonly warnings: readonly FieldIssue[] } {
  const parsed = parse(meshTextTree(text, where));
  if (parsed.value === undefined)
    throw userError("bad-mesh-config", `${where} is not a valid ${noun}:\n${formatIssues(parsed.errors)}`);
  return { config: parsed.value, warnings: parsed.warnings };
}

export function readMeshConfig(text: string, where: string): MeshConfig {
  return parseMeshText(text, where, { noun: "mesh config", parse: parseMeshConfig }).config;
}

/** The mesh config of a cluster. Undefined if it is absent or invalid. */
export function validMeshConfig(text: string | undefined): MeshConfig | undefined {
  try {
    return text === undefined ? undefined : readMeshConfig(text, "the mesh config");
  } catch (error) {
    if (error instanceof SerinError && error.kind === "user") return undefined;
    throw error;
  }
}

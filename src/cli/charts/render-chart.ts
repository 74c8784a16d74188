import { parse, parseAllDocuments } from "yaml";
import { userError } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import { installedKinds, type Chart } from "../../install/index.ts";
import { TemplateRunner } from "./template/evaluate-template.ts";
import { parseTemplate } from "./template/parse-template.ts";

type Tree = Readonly<Record<string, unknown>>;

export interface ChartRelease {
  readonly name: string;
  readonly namespace: string;
  /** What the user sets, over the chart's own values. */
  readonly values: Tree;
  /** Leaves the definitions of kinds out. */
  readonly skipDefinitions: boolean;
}

interface Manifest {
  readonly kind: string;
  readonly text: string;
}

/** What helm applies for a release of one of our charts, as YAML: definitions of kinds first, each object after what it needs. */
export function renderChart(chart: Chart, release: ChartRelease): string {
  const values = coalesce(parse(chart.files.get("values.yaml") ?? "") as Tree, release.values);
  checkValues(chart, values);
  const context = {
    Values: values,
    Release: {
      Name: release.name,
      Namespace: release.namespace,
      Service: "Helm",
      IsInstall: true,
      IsUpgrade: false,
      Revision: 1,
    },
    Chart: { Name: chart.name, Version: chart.version, AppVersion: chart.appVersion },
    Files: { Get: (path: unknown) => chart.files.get(String(path)) ?? "" },
  };
  const templates = [...chart.files].filter(([path]) => path.startsWith("templates/") && !path.endsWith("NOTES.txt"));
  const parsed = templates.map(([path, text]) => ({ path, template: parseTemplate(text, `${chart.name}/${path}`) }));
  const runner = new TemplateRunner(parsed.map(({ template }) => template));
  const manifests = [
    ...[...chart.files]
      .filter(([path]) => path.startsWith("crds/"))
      .flatMap(([path, text]) => manifestsIn(text, `${chart.name}/${path}`)),
    ...parsed
      .filter(({ path }) => path.endsWith(".yaml"))
      .flatMap(({ path, template }) => manifestsIn(runner.run(template, context), `${chart.name}/${path}`)),
  ];
  return inOrder(manifests.filter(({ kind }) => !release.skipDefinitions || kind !== definitionKind))
    .map(({ text }) => `---\n${text}`)
    .join("");
}

const definitionKind = "CustomResourceDefinition";

function manifestsIn(text: string, source: string): Manifest[] {
  return text
    .split(/^---[ \t]*$/m)
    .map((document) => document.trim())
    .filter((document) => document !== "")
    .map((document) => ({ kind: kindOf(document, source), text: `# Source: ${source}\n${document}\n` }));
}

/** Definitions are one long line of JSON, which need not be read as a whole. */
function kindOf(document: string, source: string): string {
  const [, found] = /"kind":"(\w+)"/.exec(document.startsWith("{") ? document.slice(0, 200) : "") ?? [];
  if (found !== undefined) return found;
  const [first] = parseAllDocuments(document);
  const [error] = first?.errors ?? [];
  if (error !== undefined)
    throw userError("chart-values", `${source} is no YAML with these values: ${error.message.split("\n")[0] ?? ""}`);
  return (first?.toJS() as UntypedObject | undefined)?.kind ?? "";
}

function inOrder(manifests: readonly Manifest[]): Manifest[] {
  const rank = new Map(installedKinds.map(({ kind }, index) => [kind, index]));
  // Definitions come before everything else. Kinds that need nothing keep the order of the files.
  const of = ({ kind }: Manifest): number => (kind === definitionKind ? -1 : (rank.get(kind) ?? rank.size));
  return manifests.toSorted((a, b) => of(a) - of(b));
}

/** As helm merges values: maps field by field, lists replaced, null takes a field away. */
export function coalesce(base: Tree, over: Tree): Tree {
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const known = merged[key];
    if (value === null || value === undefined) delete merged[key];
    else merged[key] = isTree(known) && isTree(value) ? coalesce(known, value) : value;
  }
  return merged;
}

function isTree(value: unknown): value is Tree {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The chart's schema names the types of the values that are used most. */
function checkValues({ name, files }: Chart, values: Tree): void {
  const schema = JSON.parse(files.get("values.schema.json") ?? "{}") as {
    readonly properties?: Readonly<Record<string, { readonly type: string }>>;
  };
  for (const [field, { type }] of Object.entries(schema.properties ?? {})) {
    const value = values[field];
    if (value === undefined || typeOf(value) === type) continue;
    const hint = type === "string" ? { hint: `--set-string ${field}=${JSON.stringify(value)}` } : {};
    throw userError(
      "chart-values",
      `values of ${name}: ${field} must be ${type === "array" || type === "object" ? "an" : "a"} ${type}, got ${JSON.stringify(value)}`,
      hint,
    );
  }
}

function typeOf(value: unknown): string {
  return Array.isArray(value) ? "array" : value === null ? "null" : typeof value;
}

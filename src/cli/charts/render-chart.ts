import { parse, parseAllDocuments } from "yaml";
import { internalError, isTree, mergeTrees, messageOf, SerinError, type Tree, userError } from "../../base/index.ts";
import { readForKubernetes } from "../../base/kubernetes-yaml/index.ts";
import {
  elementOf,
  parseTemplate,
  type ParsedTemplate,
  renderTemplate,
  type TemplateFunction,
} from "../../base/go-template/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import { installedKinds, type Chart, type ValuesSchema } from "../../install/index.ts";
import { helmFunctions } from "./helm-functions.ts";

export interface ChartRelease {
  readonly name: string;
  readonly namespace: string;
  readonly values: Tree;
  readonly skipDefinitions: boolean;
}

/** The maximum number of documents whose kind a renderer remembers. */
const maxHeads = 1000;

interface Head {
  readonly kind: string;
  readonly isHook: boolean;
}

interface Manifest {
  readonly kind: string;
  readonly text: string;
}

export function renderChart(chart: Chart, release: ChartRelease): string {
  return new ChartRenderer(chart).render(release);
}

/** Renders one of Serin's charts for several releases. It parses the templates only once. */
export class ChartRenderer {
  readonly #chart: Chart;
  readonly #defaults: Tree;
  readonly #templates: readonly (readonly [path: string, text: string])[];
  readonly #runner: ChartTemplates;
  readonly #definitions: readonly Manifest[];
  /** By the document's text. */
  readonly #heads = new Map<string, Head>();

  constructor(chart: Chart) {
    this.#chart = chart;
    const { name, files } = chart;
    this.#defaults = parse(files.get("values.yaml") ?? "", readForKubernetes) as Tree;
    this.#templates = [...files].filter(([path]) => path.startsWith("templates/") && !path.endsWith("NOTES.txt"));
    this.#runner = new ChartTemplates(name, this.#templates);
    this.#definitions = [...files]
      .filter(([path]) => path.startsWith("crds/"))
      .flatMap(([path, text]) => this.#manifestsIn(text, `${name}/${path}`));
  }

  /**
   * CRDs come first, and each object comes after the objects that it needs. Hooks are left out, because only helm knows
   * when to run them.
   */
  render(release: ChartRelease): string {
    const { name, version, appVersion, files } = this.#chart;
    const values = mergeTrees(this.#defaults, release.values, { nulls: "remove", lists: "replace" });
    checkValues(this.#chart, values);
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
      Chart: { Name: name, Version: version, AppVersion: appVersion },
      Files: { Get: (path: unknown) => files.get(String(path)) ?? "" },
    };
    const manifests = [
      ...this.#definitions,
      ...this.#templates
        .filter(([path]) => path.endsWith(".yaml"))
        .flatMap(([path]) => this.#manifestsIn(this.#runner.render(path, context), `${name}/${path}`)),
    ];
    return inOrder(manifests.filter(({ kind }) => !release.skipDefinitions || kind !== definitionKind))
      .map(({ text }) => `---\n${text}`)
      .join("");
  }

  #manifestsIn(text: string, source: string): Manifest[] {
    return text
      .split(/^---[ \t]*$/m)
      .map((document) => document.trim())
      .filter((document) => document !== "")
      .map((document) => ({ ...this.#headOf(document, source), text: `# Source: ${source}\n${document}\n` }))
      .filter(({ isHook }) => !isHook);
  }

  /**
   * Returns the head of a document, from the cache if possible. Releases whose values differ still share most
   * documents.
   */
  #headOf(document: string, source: string): Head {
    const known = this.#heads.get(document);
    if (known !== undefined) return known;
    const head = headOf(document, source);
    if (this.#heads.size < maxHeads) this.#heads.set(document, head);
    return head;
  }
}

/**
 * The templates of one chart, which share their named templates. A faulty template is a bug of ours, because only
 * Serin's own charts are rendered.
 */
export class ChartTemplates {
  readonly #name: string;
  readonly #parsed: ReadonlyMap<string, ParsedTemplate>;
  readonly #definitions: ParsedTemplate["defined"];
  readonly #functions: Readonly<Record<string, TemplateFunction>>;

  constructor(
    name: string,
    templates: readonly (readonly [path: string, text: string])[],
    functions: Readonly<Record<string, TemplateFunction>> = helmFunctions,
  ) {
    this.#name = name;
    this.#functions = functions;
    this.#parsed = new Map(templates.map(([path, text]) => [path, this.#ours(path, () => parseTemplate(text))]));
    this.#definitions = new Map([...this.#parsed.values()].flatMap(({ defined }) => [...defined]));
  }

  /** Throws a user error if the template calls `fail`. */
  render(path: string, context: Tree): string {
    const template = this.#parsed.get(path);
    if (template === undefined) throw internalError("template-failed", `${this.#name} has no template ${path}`);
    return this.#ours(path, () =>
      renderTemplate(
        template,
        context,
        { functions: this.#functions, fieldOf: elementOf, missing: "", hasInclude: true },
        this.#definitions,
      ),
    );
  }

  #ours<Result>(path: string, run: () => Result): Result {
    try {
      return run();
    } catch (error) {
      if (error instanceof SerinError && error.code === "chart-values") throw error;
      throw internalError("template-failed", `${this.#name}/${path}: ${messageOf(error)}`, { cause: error });
    }
  }
}

const definitionKind = "CustomResourceDefinition";

/**
 * The kind of a document, and whether helm runs it instead of applying it. A CRD is one long line of JSON, so only its
 * beginning is read.
 */
function headOf(document: string, source: string): Head {
  const [, found] = /"kind":"(\w+)"/.exec(document.startsWith("{") ? document.slice(0, 200) : "") ?? [];
  if (found !== undefined) return { kind: found, isHook: false };
  const [first] = parseAllDocuments(document, readForKubernetes);
  const [error] = first?.errors ?? [];
  if (error !== undefined)
    throw userError(
      "chart-values",
      `${source} is not valid YAML with these values: ${error.message.split("\n")[0] ?? ""}`,
    );
  const { kind = "", metadata } = (first?.toJS() ?? {}) as Partial<UntypedObject>;
  return { kind, isHook: metadata?.annotations?.["helm.sh/hook"] !== undefined };
}

function inOrder(manifests: readonly Manifest[]): Manifest[] {
  const rank = new Map(installedKinds.map(({ kind }, index) => [kind, index]));
  // CRDs come before everything else. Kinds without a rank come last, in the order of the files.
  const rankOf = ({ kind }: Manifest): number => (kind === definitionKind ? -1 : (rank.get(kind) ?? rank.size));
  return manifests.toSorted((a, b) => rankOf(a) - rankOf(b));
}

/** Checks values against the chart's schema, which states the types of the values that the templates read. */
function checkValues({ name, files }: Chart, values: Tree): void {
  const schema = JSON.parse(files.get("values.schema.json") ?? "{}") as ValuesSchema;
  for (const [field, below] of Object.entries(schema.properties ?? {})) checkValue(name, field, values[field], below);
}

function checkValue(chart: string, path: string, value: unknown, schema: ValuesSchema): void {
  if (value === undefined) return;
  const types = [schema.type].flat();
  if (!types.some((type) => isOfType(value, type, schema))) {
    throw userError(
      "chart-values",
      `values of ${chart}: ${path} must be ${schema.description ?? types.join(" or ")}, got ${JSON.stringify(value)}`,
      schema.type === "string" ? { hint: `--set-string ${path}=${JSON.stringify(value)}` } : {},
    );
  }
  if (isTree(value))
    for (const [field, below] of Object.entries(schema.properties ?? {}))
      checkValue(chart, `${path}.${field}`, value[field], below);
}

function isOfType(value: unknown, type: string, { minimum, maximum, pattern, maxProperties }: ValuesSchema): boolean {
  if (type === "integer" || type === "number") {
    if (typeof value !== "number" || value < (minimum ?? value) || value > (maximum ?? value)) return false;
    return type === "number" || Number.isInteger(value);
  }
  if (type === "string") return typeof value === "string" && (pattern === undefined || new RegExp(pattern).test(value));
  if (isTree(value) && Object.keys(value).length > (maxProperties ?? Infinity)) return false;
  return typeOf(value) === type;
}

function typeOf(value: unknown): string {
  return Array.isArray(value) ? "array" : value === null ? "null" : typeof value;
}

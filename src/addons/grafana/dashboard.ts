import { treeOf, ownField, stringOf, type Tree } from "../../base/index.ts";

/** What the pages show of a dashboard's JSON: the queries of its panels, and its variables. */
export interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly folder: string;
  readonly tags: readonly string[];
  readonly variables: readonly DashboardVariable[];
  readonly panels: readonly DashboardPanel[];
  /** The whole JSON, for the API. */
  readonly json: unknown;
}

export interface DashboardVariable {
  readonly name: string;
  readonly kind: string;
  readonly label: string;
  /** The query that lists the variable's values, such as `label_values(metric, label)`. */
  readonly query: string;
  /** The values that the dashboard's JSON lists itself. */
  readonly values: readonly string[];
  readonly includeAll: boolean;
  readonly allValue: string | undefined;
}

export interface DashboardPanel {
  readonly title: string;
  readonly unit: string;
  /** Empty if the panel is in no row. */
  readonly row: string;
  readonly targets: readonly { readonly expression: string; readonly legend: string }[];
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** Reads a dashboard's JSON. Skips everything whose form it does not expect. `name` stands in for a missing uid. */
export function readDashboard(raw: unknown, name: string, folder: string): Dashboard {
  const json = treeOf(raw);
  const panels: DashboardPanel[] = [];
  collectPanels(listOf(json["panels"]), "", panels);
  return {
    uid: stringOf(json["uid"]) === "" ? name : stringOf(json["uid"]),
    title: stringOf(json["title"]) === "" ? name : stringOf(json["title"]),
    folder,
    tags: listOf(json["tags"]).map(stringOf),
    variables: listOf(treeOf(json["templating"])["list"]).map(readVariable),
    panels,
    json: raw,
  };
}

function collectPanels(raw: readonly unknown[], row: string, panels: DashboardPanel[]): void {
  let current = row;
  for (const entry of raw) {
    const panel = treeOf(entry);
    if (panel["type"] === "row") {
      current = stringOf(panel["title"]);
      collectPanels(listOf(panel["panels"]), current, panels);
      continue;
    }
    const targets = listOf(panel["targets"])
      .map(treeOf)
      .map((target) => ({ expression: stringOf(target["expr"]), legend: stringOf(target["legendFormat"]) }));
    const queries = targets.filter(({ expression }) => expression !== "");
    if (queries.length > 0)
      panels.push({ title: stringOf(panel["title"]), unit: unitOf(panel), row: current, targets: queries });
  }
}

function unitOf(panel: Tree): string {
  return (
    stringOf(treeOf(treeOf(panel["fieldConfig"])["defaults"])["unit"]) ||
    stringOf(panel["format"]) ||
    stringOf(treeOf(listOf(panel["yaxes"])[0])["format"])
  );
}

function readVariable(raw: unknown): DashboardVariable {
  const variable = treeOf(raw);
  const { query } = variable;
  const kind = stringOf(variable["type"]);
  const text = typeof query === "string" ? query : stringOf(treeOf(query)["query"]);
  const options = listOf(variable["options"])
    .map((option) => stringOf(treeOf(option)["value"]))
    .filter((value) => value !== "" && value !== "$__all");
  const written =
    kind === "custom" || kind === "interval" || kind === "constant"
      ? text
          .split(",")
          .map((value) => value.trim())
          .filter((value) => value !== "")
      : [];
  return {
    name: stringOf(variable["name"]),
    kind,
    label: stringOf(variable["label"]) || stringOf(variable["name"]),
    query: kind === "query" ? text : "",
    values: options.length > 0 ? options : written,
    includeAll: variable["includeAll"] === true,
    allValue: typeof variable["allValue"] === "string" ? variable["allValue"] : undefined,
  };
}

export type VariableValues = ReadonlyMap<string, string>;

const labelValues = /^\s*label_values\(\s*(?:([\s\S]+)\s*,\s*)?([a-zA-Z_][a-zA-Z0-9_]*)\s*\)\s*$/;
const queryResult = /^\s*query_result\(([\s\S]*)\)\s*$/;

/** The Prometheus query that lists a variable's values. Undefined if the form of `query` is unknown. */
export function variableQuery(
  query: string,
  values: VariableValues,
): { readonly expression: string; readonly label: string | undefined } | undefined {
  const [, metric, label] = labelValues.exec(query) ?? [];
  if (label !== undefined)
    return { expression: `group by (${label}) (${fillIn(metric ?? `{${label}!=""}`, values)})`, label };
  const [, expression] = queryResult.exec(query) ?? [];
  return expression === undefined ? undefined : { expression: fillIn(expression, values), label: undefined };
}

const reference = /\$(?:\{(\w+)(?::\w+)?\}|(\w+))|\[\[(\w+)\]\]/g;
const builtIn: Readonly<Record<string, string>> = {
  __rate_interval: "1m",
  __interval: "15s",
  __range: "5m",
  __range_s: "300",
  __interval_ms: "15000",
  interval: "1m",
};

/** Replaces variables in a query with their values. Leaves unknown ones in place. */
export function fillIn(expression: string, values: VariableValues): string {
  return expression.replaceAll(reference, (whole, braced?: string, bare?: string, bracketed?: string) => {
    const name = braced ?? bare ?? bracketed ?? "";
    return values.get(name) ?? ownField(builtIn, name) ?? whole;
  });
}

/** Fills in `{{label}}` in a legend. An empty legend lists the labels. */
export function legendText(legend: string, labels: Readonly<Record<string, string>>): string {
  if (legend !== "" && legend !== "__auto")
    return legend.replaceAll(/\{\{\s*(\w+)\s*\}\}/g, (_, name: string) => labels[name] ?? "");
  return Object.entries(labels)
    .filter(([name]) => name !== "__name__")
    .map(([name, value]) => `${name}=${value}`)
    .join(", ");
}

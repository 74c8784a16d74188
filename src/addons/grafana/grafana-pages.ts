import { messageOf } from "../../base/index.ts";
import { html, page, table, type Html, type MeasuredSample, type QueryPrometheus } from "../web/index.ts";
import {
  fillIn,
  legendText,
  variableQuery,
  type Dashboard,
  type DashboardPanel,
  type DashboardVariable,
  type VariableValues,
} from "./dashboard.ts";

const lead =
  "Serin's page in Grafana's place: the dashboards of its ConfigMaps, with the current values of their panels as tables. It draws no graphs and saves nothing.";
const links = [{ href: "/", text: "Dashboards" }];
const refreshSeconds = 30;
/** How many rows a panel shows, and how many values a variable offers. */
const maxRows = 20;
const maxValues = 200;

export function listPage(dashboards: readonly Dashboard[]): string {
  const folders = Map.groupBy(dashboards, ({ folder }) => (folder === "" ? "General" : folder));
  const body = html`${[...folders].map(
    ([folder, list]) =>
      html`<h2>${folder}</h2>
        ${table<Dashboard>(
          [
            {
              title: "Dashboard",
              cell: ({ uid, title }) => html`<a href="/d/${encodeURIComponent(uid)}">${title}</a>`,
            },
            { title: "Panels", isNumber: true, cell: ({ panels }) => panels.length },
          ],
          list,
        )}`,
  )}${dashboards.length === 0 ? html`<p class="dim">No dashboard is provisioned.</p>` : undefined}`;
  return page({ title: "Dashboards", lead, links, body });
}

interface Chosen {
  readonly variable: DashboardVariable;
  readonly options: readonly string[];
  readonly value: string;
}

/**
 * A dashboard's page. `chosen` has the values that the reader has chosen for variables. As in Grafana, they come from
 * `var-<name>` in the URL.
 */
export async function dashboardPage(
  dashboard: Dashboard,
  chosen: VariableValues,
  query: QueryPrometheus,
): Promise<string> {
  const variables: Chosen[] = [];
  const values = new Map<string, string>();
  for (const variable of dashboard.variables) {
    const { options, value } = await optionsOf(variable, chosen.get(variable.name), values, query);
    values.set(variable.name, value);
    if (options.length > 1) variables.push({ variable, options, value });
  }
  const rows = Map.groupBy(dashboard.panels, ({ row }) => row);
  const sections: Html[] = [];
  for (const [row, panels] of rows) {
    sections.push(
      html`${row === "" ? undefined : html`<h2>${fillIn(row, values)}</h2>`}${await Promise.all(panels.map(async (panel) => await panelBody(panel, values, query)))}`,
    );
  }
  const body = html`${variables.length === 0 ? undefined : variableForm(variables)}${sections.length === 0 ? html`<p class="dim">None of its panels queries Prometheus.</p>` : sections}`;
  return page({ title: dashboard.title, lead, links, refreshSeconds, body });
}

async function optionsOf(
  variable: DashboardVariable,
  wanted: string | undefined,
  values: VariableValues,
  query: QueryPrometheus,
): Promise<{ readonly options: readonly string[]; readonly value: string }> {
  const all = variable.includeAll ? [variable.allValue ?? ".*"] : [];
  const found = variable.kind === "query" ? await queriedOptions(variable, values, query) : variable.values;
  // Leave out a value that could end the quotes around it in a query. Even a pod may write such a value, into its
  // metrics.
  const options = [...new Set([...all, ...found])].filter(isQuotable).slice(0, maxValues);
  const value = wanted !== undefined && isQuotable(wanted) ? wanted : (options[0] ?? "");
  return { options, value };
}

function isQuotable(value: string): boolean {
  return !/["\\]/.test(value);
}

async function queriedOptions(
  { query: text }: DashboardVariable,
  values: VariableValues,
  query: QueryPrometheus,
): Promise<string[]> {
  const parsedQuery = variableQuery(text, values);
  if (parsedQuery === undefined) return [];
  try {
    const samples = await query(parsedQuery.expression);
    return samples
      .map(({ labels }) =>
        parsedQuery.label === undefined ? (Object.values(labels)[0] ?? "") : (labels[parsedQuery.label] ?? ""),
      )
      .filter((value) => value !== "")
      .sort();
  } catch {
    return [];
  }
}

function variableForm(variables: readonly Chosen[]): Html {
  const select = ({ variable, options, value }: Chosen): Html =>
    html`<label
      >${variable.label}
      <select name="var-${variable.name}">
        ${options.map((option) => (option === value ? html`<option selected>${option}</option>` : html`<option>${option}</option>`))}
      </select></label
    >`;
  return html`<form method="get">${variables.map(select)}<button>Show</button></form>`;
}

async function panelBody(
  { title, unit, targets }: DashboardPanel,
  values: VariableValues,
  query: QueryPrometheus,
): Promise<Html> {
  const rows: { readonly legend: string; readonly value: number }[] = [];
  const problems: string[] = [];
  for (const { expression, legend } of targets) {
    try {
      const samples: readonly MeasuredSample[] = await query(fillIn(expression, values));
      rows.push(...samples.map(({ labels, value }) => ({ legend: fillIn(legendText(legend, labels), values), value })));
    } catch (error) {
      problems.push(messageOf(error));
    }
  }
  const shown = rows.toSorted((a, b) => b.value - a.value).slice(0, maxRows);
  const heading = html`<p>
    <strong>${fillIn(title, values)}</strong> ${unit === "" ? undefined : html`<span class="dim">${unit}</span>`}
  </p>`;
  if (shown.length === 0)
    return html`${heading}
      <p class="${problems.length > 0 ? "bad" : "dim"}">${problems[0] ?? "no data"}</p>`;
  const more = rows.length > shown.length ? html`<p class="dim">${rows.length - shown.length} more</p>` : undefined;
  return html`${heading}${table<{ readonly legend: string; readonly value: number }>(
    [
      { title: "Series", cell: ({ legend }) => (legend === "" ? "value" : legend) },
      { title: "Value", isNumber: true, cell: ({ value }) => numberText(value) },
    ],
    shown,
  )}${more}`;
}

function numberText(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "no value" : String(value);
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4)));
}

import { truncated } from "../../base/index.ts";
import type { FieldChange, Finding, Json, PreflightReport, ResourceGroup } from "../../preflight/index.ts";
import { paint, type Colour } from "../terminal/colour.ts";
import { fittedTable, wrappedLine } from "../terminal/fitted-table.ts";

interface TextOptions {
  readonly colour: boolean;
  /** Whether to show each changed field instead of counts. */
  readonly diff: boolean;
  /** The width of the terminal. Undefined if the output is not a terminal. */
  readonly columns?: number | undefined;
}

/** The maximum number of entries in a section. A line below says how many are left out. */
const maxShown = 8;
const maxChangesShown = 3;
const maxStepsShown = 30;
const maxValueLength = 60;

/** Formats a plan for people: the verdict with its reasons first, then a few lines for each part. */
export function planText(report: PreflightReport, options: TextOptions): string {
  const { from, to, upgrade } = report;
  const version = (text: string | undefined): string => (text === undefined ? "" : ` (${text})`);
  const sections = [
    verdictLines(report, options),
    renderedLines(report, options),
    defaultsLines(report),
    definitionLines(report),
    configurationLines(report),
    proxyLines(report),
    trustLines(report),
    workloadLines(report, options),
    stepLines(report, options),
    injectionLines(report),
    timeLines(report, options),
    notComparedLines(report),
  ];
  const title = `Plan of MeshUpgrade ${upgrade}: ${from.revision}${version(from.version)} -> ${to.revision}${version(to.version)}`;
  return `${[[paint(options, "bold", title)], ...sections.filter((lines) => lines.length > 0)].map((lines) => lines.flatMap((line) => wrappedLine(line, options.columns)).join("\n")).join("\n\n")}\n`;
}

const verdicts: Readonly<Record<PreflightReport["verdict"], { readonly colour: Colour; readonly text: string }>> = {
  ok: { colour: "green", text: "✔ ok: nothing blocks the upgrade" },
  warnings: { colour: "yellow", text: "! warnings: nothing blocks the upgrade, but read these" },
  blocked: { colour: "red", text: "✘ blocked: fix these before you start" },
};
const marks: Readonly<Record<Finding["severity"], string>> = { blocked: "✘", warning: "!", note: "·" };

function verdictLines({ verdict, findings }: PreflightReport, options: TextOptions): string[] {
  const { colour, text } = verdicts[verdict];
  const shown = findings.filter(({ severity }) => severity !== "note");
  return [
    paint(options, colour, text),
    ...(options.diff
      ? findings
      : [...shown, ...findings.filter(({ severity }) => severity === "note").slice(0, maxShown)]
    ).flatMap(findingLines),
  ];
}

function findingLines({ severity, message, objects = [], total = objects.length, hint }: Finding): string[] {
  const names = objects.every((name) => message.includes(name)) ? [] : [`      ${andMore(objects, total, 4)}`];
  return [
    `  ${marks[severity]} ${message}`,
    ...names,
    ...(hint === undefined || hint === "" ? [] : [`      -> ${hint}`]),
  ];
}

function andMore(names: readonly string[], total: number, shown: number): string {
  const first = names.slice(0, shown).join(", ");
  return total > Math.min(shown, names.length) ? `${first} and ${total - Math.min(shown, names.length)} more` : first;
}

function renderedLines({ rendered }: PreflightReport, options: TextOptions): string[] {
  if (rendered === undefined) return [];
  const rows = rendered.components.map(({ name, added, changed, removed, unchanged }) => [
    name,
    String(added.length),
    String(changed.length),
    String(changed.filter(({ inPlace }) => inPlace).length),
    String(removed.length),
    String(unchanged),
  ]);
  const { diff } = options;
  const lines = [
    `Rendered objects, compared with the installed ones${diff ? "" : " (--diff shows every field)"}`,
    ...tableLines(["COMPONENT", "ADDED", "CHANGED", "IN PLACE", "NOT RENDERED", "SAME"], rows, options),
  ];
  if (!diff) return lines;
  for (const { name, added, changed, removed } of rendered.components) {
    for (const object of added) lines.push(`  + ${name}: ${object}`);
    for (const object of removed) lines.push(`  - ${name}: ${object}`);
    for (const { object, changes, inPlace } of changed)
      lines.push(
        `  ~ ${name}: ${object}${inPlace ? " (in place)" : ""}`,
        ...changes.map((change) => `      ${changeText(change)}`),
      );
  }
  return lines;
}

function defaultsLines({ defaults }: PreflightReport): string[] {
  if (defaults === undefined) return [];
  const changes = defaults.effective.flatMap(({ object, changes: fields }) =>
    fields.map((change) => `  ${object}: ${changeText(change)}`),
  );
  const lines = [...defaults.profile.map((change) => `  profile: ${changeText(change)}`), ...changes];
  return lines.length === 0
    ? ["Defaults: both releases render the same objects from the same install spec"]
    : ["Changed defaults: the same install spec, rendered by each release", ...cut(lines)];
}

function definitionLines({ definitions }: PreflightReport): string[] {
  if (definitions === undefined) return [];
  const shown = definitions.changes.filter(({ type, total }) => total > 0 || type !== "field-added");
  const added = definitions.changes.length - shown.length;
  const lines = shown.map(
    ({ definition, version = "", field, detail, total }) =>
      `  ${definition} ${version}${field === undefined ? "" : ` ${field}`} ${detail}${total > 0 ? `; ${total} stored` : ""}`,
  );
  if (definitions.changes.length === 0) return ["CustomResourceDefinitions: the same"];
  return [
    `CustomResourceDefinitions${definitions.installed ? "" : " (not installed by this upgrade)"}`,
    ...cut(lines),
    ...(added > 0 ? [`  ${added} fields are new`] : []),
  ];
}

function configurationLines({ configuration }: PreflightReport): string[] {
  if (configuration === undefined) return [];
  const line = ({
    code,
    level,
    origin,
    message,
  }: {
    readonly code: string;
    readonly level: string;
    readonly origin: string;
    readonly message: string;
  }): string => `${level} [${code}] ${origin === "" ? "" : `${origin}: `}${message}`;
  const { appeared, disappeared, kept } = configuration;
  if (appeared.length + disappeared.length === 0)
    return [`Live objects: both releases report the same messages (${kept} message${kept === 1 ? "" : "s"})`];
  return [
    "Live objects, as each release reads them",
    ...cut(appeared.map((message) => `  + ${line(message)}`)),
    ...cut(disappeared.map((message) => `  - ${line(message)}`)),
  ];
}

function proxyLines({ proxies }: PreflightReport): string[] {
  if (proxies === undefined) return [];
  const { asked, live, resources, groups, envoyFilters } = proxies;
  const counted = `${asked} workloads' proxies (${live} pods), ${resources} resources`;
  const filters = envoyFilters.map(
    ({ name, patchedByFrom, patchedByTo, differingCount }) =>
      `  EnvoyFilter ${name}: changes ${patchedByFrom} resources now, ${patchedByTo} after the upgrade${differingCount === 0 ? "" : `; ${differingCount} differ`}`,
  );
  if (groups.length === 0) return [`Proxies would receive the same configuration: ${counted}`, ...filters];
  return [`Proxies would receive a changed configuration: ${counted}`, ...cut(groups.map(groupText)), ...filters];
}

function groupText({ type, change, changes, resources, resourceCount, proxies, proxyCount }: ResourceGroup): string {
  const subject = `${type} ${andMore(resources, resourceCount, 1)}`;
  const fields = changes.slice(0, maxChangesShown).map(changeText).join("; ");
  const more = changes.length > maxChangesShown ? `; and ${changes.length - maxChangesShown} more fields` : "";
  return `  ${andMore(proxies, proxyCount, 1)}: ${subject}: ${change === "changed" ? `${fields}${more}` : change}`;
}

function trustLines({ trust }: PreflightReport): string[] {
  const root = (side: PreflightReport["trust"]["from"]): string =>
    `${side.rootFingerprints.map((fingerprint) => fingerprint.slice(0, 16)).join("+") || "unknown"} (${side.source})`;
  const roots = trust.rootsAgree
    ? `  root           ${root(trust.from)} on both sides`
    : `  root           ${root(trust.from)} -> ${root(trust.to)}`;
  const domain = trust.trustDomainsAgree
    ? `${trust.from.trustDomain} on both sides`
    : `${trust.from.trustDomain} -> ${trust.to.trustDomain}`;
  return ["Trust", roots, `  trust domain   ${domain}`];
}

function workloadLines({ workloads }: PreflightReport, options: TextOptions): string[] {
  const { namespaces, tags, stuck, gateways, waypoints, ztunnels, blockingBudgets } = workloads;
  const rows = namespaces.map(({ namespace, mode, by, workloads: own, pods }) => [
    namespace,
    mode,
    by,
    mode === "sidecar"
      ? andMore(
          own.map(({ name }) => name),
          own.length,
          3,
        )
      : "no pod restarts",
    String(pods),
  ]);
  const lines = ["Who moves"];
  if (rows.length > 0) lines.push(...tableLines(["NAMESPACE", "MODE", "BY", "RESTARTS", "PODS"], rows, options));
  if (tags.length > 0) lines.push(`  tags        ${tags.join(", ")}`);
  if (gateways.length > 0)
    lines.push(
      `  gateways    ${gateways.map(({ namespace, name, replicas }) => `${namespace}/${name} (${replicas})`).join(", ")}`,
    );
  if (waypoints.length > 0)
    lines.push(
      `  waypoints   ${waypoints.map(({ namespace, name, replicas }) => `${namespace}/${name} (${replicas})`).join(", ")}`,
    );
  if (ztunnels.length > 0)
    lines.push(
      `  ztunnels    ${ztunnels.map(({ node, enrolledPods, liveConnections }) => `${node} (${enrolledPods} pods${liveConnections === undefined ? "" : `, ${liveConnections} live connections`})`).join(", ")}`,
    );
  for (const { kind, namespace, name, reason, todo } of stuck)
    lines.push(`  by hand     ${kind} ${namespace}/${name}: ${reason}`, `              -> ${todo}`);
  for (const { namespace, name, reason } of blockingBudgets)
    lines.push(`  waits for   PodDisruptionBudget ${namespace}/${name}: ${reason}`);
  return lines;
}

function stepLines({ steps = [] }: PreflightReport, { diff }: TextOptions): string[] {
  if (steps.length === 0) return [];
  const shown = diff ? steps : steps.slice(0, maxStepsShown);
  const more = steps.length - shown.length;
  return [
    `Steps (${steps.length})`,
    ...shown.map(({ title }) => `  ○ ${title}`),
    ...(more === 0 ? [] : [`  ○ … and ${more} more (--diff shows all)`]),
  ];
}

function injectionLines({ workloads: { injection } }: PreflightReport): string[] {
  if (injection.length === 0) return [];
  const lines = injection.flatMap(({ changes, workloads, workloadCount }) => [
    `  ${andMore(workloads, workloadCount, 1)}`,
    ...cut(changes.map((change) => `    ${changeText(change)}`)),
  ]);
  return ["Injected pods: changes besides version and revision", ...lines];
}

function timeLines({ estimate }: PreflightReport, options: TextOptions): string[] {
  const rows = estimate.parts.map(({ what, seconds, how }) => [what, `${seconds} s`, how]);
  return [
    `Time: about ${duration(estimate.seconds)} if no step has to wait`,
    ...tableLines(["PART", "TIME", "HOW"], rows, options),
  ];
}

function tableLines(
  header: readonly string[],
  rows: readonly (readonly string[])[],
  { columns }: TextOptions,
): readonly string[] {
  const table = fittedTable(header, rows, { columns: columns === undefined ? undefined : columns - 2 });
  return table
    .trimEnd()
    .split("\n")
    .map((line) => `  ${line}`);
}

function duration(seconds: number): string {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function notComparedLines({ notCompared }: PreflightReport): string[] {
  const reasons = new Map<string, { readonly areas: string[]; readonly hint: string }>();
  for (const { area, reason, hint } of notCompared) {
    const known = reasons.get(reason) ?? { areas: [], hint };
    known.areas.push(area);
    reasons.set(reason, known);
  }
  if (reasons.size === 0) return [];
  return [
    "Not compared",
    ...[...reasons].flatMap(([reason, { areas, hint }]) => [
      `  ${areas.join(", ")}: ${reason.split("\n")[0] ?? ""}`,
      ...(hint === "" ? [] : [`      -> ${hint}`]),
    ]),
  ];
}

function changeText({ path, before, after }: FieldChange): string {
  if (before === undefined) return `${path} added: ${valueText(after)}`;
  if (after === undefined) return `${path} removed (was ${valueText(before)})`;
  return `${path} ${valueText(before)} -> ${valueText(after)}`;
}

function valueText(value: Json | undefined): string {
  const text = typeof value === "string" ? value : JSON.stringify(value ?? null);
  return truncated(text.replaceAll("\n", "⏎"), maxValueLength);
}

function cut(lines: readonly string[]): string[] {
  return lines.length <= maxShown
    ? [...lines]
    : [...lines.slice(0, maxShown), `  and ${lines.length - maxShown} more (--json has all)`];
}

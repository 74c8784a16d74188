import { messageOf } from "../../base/index.ts";
import type { FieldIssue } from "../../api/index.ts";
import {
  fillTemplate,
  type Canary,
  type CheckSpec,
  type MeshUpgrade,
  type TemplateSide,
  type TemplateValues,
} from "../../api/serin/index.ts";

interface Checked {
  readonly path: string;
  readonly checks: readonly CheckSpec[];
}

export interface Faults {
  readonly errors: readonly FieldIssue[];
  readonly warnings: readonly FieldIssue[];
}

const noFaults: Faults = { errors: [], warnings: [] };

/** Finds faults that only execution shows: queries that are not PromQL, and installations that cannot be rendered. */
export async function hiddenFaults(object: unknown): Promise<Faults> {
  const { spec } = object as { readonly spec: object };
  const checks = checksOf(spec);
  const queries = checks.flatMap(({ path, checks: own }) =>
    own.flatMap(({ query }, index) => (query === undefined ? [] : [{ path: `${path}[${index}].query`, query }])),
  );
  const installs = "to" in spec ? await installIssues(spec as MeshUpgrade["spec"]) : noFaults;
  return {
    errors: [...(queries.length === 0 ? [] : await queryIssues(queries)), ...installs.errors],
    warnings: installs.warnings,
  };
}

function checksOf(spec: object): Checked[] {
  const {
    checks = [],
    steps = [],
    waves = [],
    type,
  } = spec as Partial<Canary["spec"] & MeshUpgrade["spec"]> & {
    readonly type?: string;
  };
  if (type !== undefined) return [{ path: "", checks: [spec as CheckSpec] }];
  return [
    { path: "spec.checks", checks },
    ...steps.map((step, index) => ({ path: `spec.steps[${index}].checks`, checks: step.checks })),
    ...waves.map((wave, index) => ({ path: `spec.waves[${index}].checks`, checks: wave.checks })),
  ];
}

/** Only the form of the query is checked here, so any names will do. */
const someSide: TemplateSide = { service: "x", namespace: "x", workload: "x", revision: "x" };
const someValues: TemplateValues = { canary: someSide, stable: someSide, window: "60s" };

async function queryIssues(
  queries: readonly { readonly path: string; readonly query: NonNullable<CheckSpec["query"]> }[],
): Promise<FieldIssue[]> {
  const { parseQuery } = await import("../../promql/index.ts");
  return queries.flatMap(({ path, query }) =>
    (["expression", "baseline"] as const).flatMap((field) => {
      const text = query[field];
      if (text === undefined) return [];
      try {
        parseQuery(fillTemplate(text, someValues).text);
        return [];
      } catch (error) {
        return [
          { path: `${path.replace(/^\[0\]/, "spec")}.${field}`, message: `is not valid PromQL: ${messageOf(error)}` },
        ];
      }
    }),
  );
}

async function installIssues({ to }: MeshUpgrade["spec"]): Promise<Faults> {
  const specs = to.install.map((install, index) => ({ install, path: `spec.to.install[${index}]` }));
  if (to.cni !== undefined) specs.push({ install: to.cni, path: "spec.to.cni" });
  if (specs.length === 0) return noFaults;
  const { resolveSettings } = await import("../../install/index.ts");
  const found = specs.map(({ install, path }): Faults => {
    const placed = (issue: FieldIssue): FieldIssue => ({
      path: `${path}${issue.path.replace(/^spec/, "")}`,
      message: issue.message,
    });
    const { value, errors, warnings } = resolveSettings({ specs: [install] }, { hub: "", tag: "" });
    const issues = { errors: errors.map(placed), warnings: warnings.map(placed) };
    if (value === undefined) return issues;
    const revision = value.revision === "" ? "default" : value.revision;
    const isOther = value.pilot.enabled && path !== "spec.to.cni" && revision !== to.revision;
    const message = `must be the revision of the upgrade (${to.revision}); another one would be overwritten`;
    return isOther ? { ...issues, errors: [{ path: `${path}.revision`, message }] } : issues;
  });
  return { errors: found.flatMap(({ errors }) => errors), warnings: found.flatMap(({ warnings }) => warnings) };
}

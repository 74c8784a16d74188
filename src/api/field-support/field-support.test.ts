import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { gatewayApiKinds } from "../gateway/index.ts";
import { istioKinds, parseMeshConfig } from "../istio/index.ts";
import type { FieldIssue, Parsed } from "../parsed.ts";
import type { FieldRow, FieldTable } from "./field-table.ts";
import { matchesField } from "./testing/matches-field.ts";
import { kindTables, meshConfigTable, proxyDefaultsTable } from "./index.ts";
import { definedKinds, listedFields, type SchemaField } from "./testing/schema-fields.ts";

const root = new URL("../../../", import.meta.url);
const definitions = ["istio", "gateway-api"]
  .flatMap((name) => definedKinds(readFileSync(new URL(`manifests/crds/${name}.yaml`, root), "utf8")))
  .filter(({ group }) => group !== "gateway.networking.x-k8s.io");
const kinds = [...istioKinds, ...gatewayApiKinds];
const lists = JSON.parse(readFileSync(new URL("generated/istio/mesh-fields.json", root), "utf8")) as Record<
  "MeshConfig" | "ProxyConfig",
  Record<string, string>
>;

interface Checked {
  readonly table: FieldTable;
  readonly fields: readonly SchemaField[];
  readonly parse: (sample: unknown) => Pick<Parsed<unknown>, "errors" | "warnings">;
  /** The beginning of a sample's path in the parser's messages. */
  readonly prefix: string;
}

const checked: readonly Checked[] = [
  ...kindTables.map((table): Checked => {
    const kind = kinds.find((candidate) => candidate.kind === table.kind && candidate.group === table.apiGroup);
    const fields =
      definitions.find((definition) => definition.kind === table.kind && definition.group === table.apiGroup)?.fields ??
      [];
    const parse = (spec: unknown): Pick<Parsed<unknown>, "errors" | "warnings"> =>
      kind?.parse?.({ metadata: { name: "a", namespace: "b" }, spec }) ?? { errors: [], warnings: [] };
    return { table, fields, prefix: "spec", parse };
  }),
  { table: meshConfigTable, fields: listedFields(lists.MeshConfig), prefix: "", parse: parseMeshConfig },
  {
    table: proxyDefaultsTable,
    fields: listedFields(lists.ProxyConfig),
    prefix: "defaultConfig",
    parse: (defaultConfig) => parseMeshConfig({ defaultConfig }),
  },
];

test("every field of every served version of every kind is in one row", () => {
  const missing = definitions
    .filter(
      (definition) =>
        !kindTables.some((table) => table.kind === definition.kind && table.apiGroup === definition.group),
    )
    .map(({ group, kind }) => `${group} ${kind}`);
  assert.deepEqual(missing, [], "kinds without a table");
  const wrong = checked.flatMap(({ table, fields }) =>
    fields.flatMap(({ path }) => {
      const rows = table.rows.filter((row) => row.fields.some((pattern) => matchesField(pattern, path)));
      return rows.length === 1
        ? []
        : [`${table.kind} ${path}: in ${rows.length === 0 ? "no row" : rows.map(({ group }) => group).join(" and ")}`];
    }),
  );
  assert.deepEqual(wrong, []);
  const stale = checked.flatMap(({ table, fields }) =>
    table.rows.flatMap((row) =>
      row.fields
        .filter((pattern) => !fields.some(({ path }) => matchesField(pattern, path)))
        .map((pattern) => `${table.kind} ${pattern}`),
    ),
  );
  assert.deepEqual(stale, [], "rows of fields that are not there");
});

/** Whether an issue concerns the field or its parent, and says that it has no effect. */
function isReported(issues: readonly FieldIssue[], { samplePath }: SchemaField, prefix: string): boolean {
  const path = `${prefix}${samplePath}`.replace(/^\./, "");
  return issues.some(
    (issue) =>
      issue.path !== "" &&
      issue.path !== prefix &&
      (path === issue.path || path.startsWith(`${issue.path}.`) || path.startsWith(`${issue.path}[`)),
  );
}

const expectations: Readonly<
  Record<
    FieldRow["support"],
    (issues: Pick<Parsed<unknown>, "errors" | "warnings">, field: SchemaField, prefix: string) => string | undefined
  >
> = {
  acted: ({ errors, warnings }, field, prefix) => {
    const unknown = [...errors, ...warnings].filter(({ message }) =>
      /known here|has no effect here|not supported and has no effect/.test(message),
    );
    return isReported(unknown, field, prefix)
      ? `is told to have no effect: ${unknown.map(({ message }) => message).join("; ")}`
      : undefined;
  },
  envoy: ({ warnings }, field, prefix) =>
    isReported(
      warnings.filter(({ message }) => /Envoy/.test(message)),
      field,
      prefix,
    )
      ? undefined
      : "is not told to be Envoy's alone",
  warned: ({ warnings }, field, prefix) => (isReported(warnings, field, prefix) ? undefined : "has no warning"),
  refused: ({ errors }, field, prefix) => (isReported(errors, field, prefix) ? undefined : "is not refused"),
};

test("parsers refuse fields without effect or warn about them by path, and know all others", () => {
  const wrong = checked.flatMap(({ table, fields, parse, prefix }) =>
    fields.flatMap((field) => {
      const row = table.rows.find((candidate) => candidate.fields.some((pattern) => matchesField(pattern, field.path)));
      const fault = row === undefined ? undefined : expectations[row.support](parse(field.sample), field, prefix);
      return fault === undefined ? [] : [`${table.kind} ${field.path} ${fault}`];
    }),
  );
  assert.deepEqual(wrong, []);
});

test("the proof of every row exists", () => {
  const absent = checked.flatMap(({ table }) =>
    table.rows
      .filter(({ proof }) => !existsSync(new URL(proof, root)))
      .map(({ group, proof }) => `${table.kind}, ${group}: ${proof}`),
  );
  assert.deepEqual(absent, []);
});

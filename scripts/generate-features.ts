// Writes `docs/features.md`, which says what every field of every kind does, from the tables of src/api/field-support.
// Run `node scripts/generate-features.ts`. The test beside it fails when the page is stale.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  kindTables,
  meshConfigTable,
  proxyDefaultsTable,
  type FieldRow,
  type FieldTable,
} from "../src/api/field-support/index.ts";

const introduction = `# What each field does

Each row is a group of fields. \`[]\` stands for any element of a list, \`{}\` for any value of a map, \`**\` for everything below.
\`node scripts/generate-features.ts\` writes this page from \`src/api/field-support\`. A test compares it with the definitions in
\`manifests/crds\` (all served versions) and with \`generated/istio/mesh-fields.json\` (MeshConfig and ProxyConfig of the pinned
istio.io/api). It fails for a field without a row, and for a field without effect that gets neither a warning nor a refusal with its path.

You find these warnings in the webhook's answer when you apply an object, in \`serin analyze\` (SER0110), in the status of Istio's kinds
(condition \`serin.dev/FieldsWithoutEffect\`), and for the mesh config in the log when it is loaded.

**Envoy only** means that an Envoy acts on the field and Serin's own proxy does not. The same warning reports it.

The Multi-Cluster Services API is not installed with Serin, so its kinds have no table. Serin reads the
name of a ServiceExport, and the name and \`spec.ips\` of a ServiceImport ([multi-cluster-services.test.ts](../src/controlplane/translate/multi-cluster-services.test.ts)).
`;

const supportWords: Readonly<Record<FieldRow["support"], (row: FieldRow) => string>> = {
  acted: ({ by }) => by.join(", "),
  envoy: ({ by }) => `${by.join(", ")} (Envoy only)`,
  warned: () => "nobody; a warning names the field",
  refused: () => "nobody; an error names the field",
};

/** The whole page. */
export function featuresPage(): string {
  return [introduction, ...kindTables.map(section), section(meshConfigTable), section(proxyDefaultsTable)].join("\n");
}

function section({ apiGroup, kind, rows }: FieldTable): string {
  const title = apiGroup === "" ? kind : `${kind} (${apiGroup})`;
  const lines = rows.map(
    (row) =>
      `| ${row.group} | ${shown(row.fields)} | ${supportWords[row.support](row)} | [${fileName(row.proof)}](../${row.proof}) |`,
  );
  return [`## ${title}`, "", "| fields | paths | acted on by | shown by |", "|---|---|---|---|", ...lines, ""].join(
    "\n",
  );
}

const maxShown = 12;

function shown(fields: readonly string[]): string {
  const text = fields
    .slice(0, maxShown)
    .map((field) => `\`${field}\``)
    .join(" ");
  return fields.length > maxShown ? `${text} and ${fields.length - maxShown} more` : text;
}

function fileName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

if (import.meta.main) writeFileSync(join(import.meta.dirname, "../docs/features.md"), featuresPage());

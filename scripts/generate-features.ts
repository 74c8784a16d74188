// Writes `docs/features.md`: what every field of every kind does, from the tables of src/api/field-support. Run as
// `node scripts/generate-features.ts`; the test beside it fails when the page is another.
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

One row a group of fields, \`[]\` any element of a list, \`{}\` any value of a map, \`**\` all that is below. The page is written by
\`node scripts/generate-features.ts\` from \`src/api/field-support\`, whose test reads the definitions in \`manifests/crds\` (all served versions) and
\`generated/istio/mesh-fields.json\` (MeshConfig and ProxyConfig of the pinned istio.io/api): a field in no row fails it, and so does one that is said to have
no effect and is not warned of, or refused, by its path. Warnings are said by the webhook when an object is applied, by \`serin analyze\` (SER0110), in the
status of Istio's kinds (condition \`serin.dev/FieldsWithoutEffect\`), and for the mesh config in the log when it is loaded.

**Envoy only**: Envoy as that proxy acts on it; Serin's own proxy does not, and the same warning says so.
`;

const supportWords: Readonly<Record<FieldRow["support"], (row: FieldRow) => string>> = {
  acted: ({ by }) => by.join(", "),
  envoy: ({ by }) => `${by.join(", ")} (Envoy only)`,
  warned: () => "nobody: warned of by name",
  refused: () => "nobody: refused by name",
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

// Writes `docs/features.md`: what each part does, and what every field of every kind does, from the tables of
// src/api/field-support.
// Run `node scripts/generate/features.ts`. The test beside it fails when the page is stale.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  kindTables,
  meshConfigTable,
  proxyDefaultsTable,
  type FieldRow,
  type FieldTable,
} from "../../src/api/field-support/index.ts";

const introduction = `# What works

## The parts

- **Lab cluster.** Its API server serves kubectl 1.20 to 1.36: watches, patches, server-side apply, CRDs with CEL, RBAC, admission,
  certificate requests, \`kubectl top\`. It has controllers, autoscalers, a scheduler, DNS, Services, NetworkPolicies, LoadBalancer
  addresses, native sidecars, probes, volumes, persistent volumes, logs, exec and attach with a terminal, cp and port-forward.
- **Control plane.** It serves sidecars, gateways, waypoints and ztunnels over xDS, both delta and state of the world. It reads every
  kind of Istio and the Gateway API, including EnvoyFilter, WasmPlugin and Telemetry. It supports several clusters and
  networks, multi-cluster services (MCS), virtual machines that register themselves, revisions and tags, injection, validation
  and a CA.
- **ztunnel and CNI.** The CNI agent redirects the traffic of pods to a ztunnel. The ztunnel sends it over HBONE with mutual TLS, and between
  networks over HBONE within HBONE. It enforces L4 policies, uses waypoints and answers DNS. Pods move to a ztunnel of another revision
  without a dropped connection.
- **Proxy.** It runs as a sidecar, a gateway or a waypoint. It speaks HTTP/1.1, HTTP/2, gRPC and TCP on both sides, with TLS and SNI. It has
  filter chains, RBAC, JWT, external authorization, [Lua](lua.md), [WebAssembly](wasm.md), faults, retries, outlier detection, circuit
  breakers, consistent hashing, and Istio's metrics, logs and traces (OTLP, Zipkin).
- **Installation.** There are eight profiles, the values of Istio 1.6 to 1.31, Helm charts and \`istioctl\`'s verbs. Operators in the cluster
  install what IstioOperator objects and objects of Banzai Cloud's kinds describe.
- **Rollouts.** A Canary moves routes, VirtualServices, Deployments, Services and namespaces. A MeshUpgrade moves sidecars, ztunnels,
  waypoints, gateways, CNI agents, tags and the CA's root in waves. It has a plan that you can read in advance, and a probe matrix. Both
  kinds have a judge, a journal, undo and freezes. Canaries of one group move together.
- **Dashboard.** It shows a live graph with configured and measured weights, the revision of each part of the mesh, rollouts with their
  evidence, workloads, services and configuration. You can give orders to rollouts, and see what a change of the configuration would do
  before you apply it. Each user has the rights there that the API server grants.
  \`serin top\` and \`serin graph\` show the same in a terminal.

## How to read the tables of fields

Each row is a group of fields. In a path, \`[]\` stands for any element of a list, \`{}\` for any value of a map, and \`**\` for all fields below.
A part of a path in parentheses may be absent. For example, \`(subsets[].)trafficPolicy\` is the policy of a host or of a subset.
\`node scripts/generate/features.ts\` writes this page from \`src/api/field-support\`. A test compares the tables with the definitions in
\`manifests/crds\` (all served versions) and with \`generated/istio/mesh-fields.json\` (MeshConfig and ProxyConfig of the pinned
istio.io/api). The test fails if a field has no row. It also fails if a field has no effect, and neither a warning nor an error names
the field's path.

Four places show these warnings: the output of \`kubectl apply\`, to which the webhook adds them; \`serin analyze\` (SER0110); the condition
\`serin.dev/FieldsWithoutEffect\` in the status of objects of Istio's kinds; and, for the mesh config, the log of the control plane.

**Envoy only** means that an Envoy acts on the field, but Serin's own proxy does not.
The same places show a warning about such a field.

The Multi-Cluster Services API is not installed with Serin, so its kinds have no table. Serin reads the
name of a ServiceExport, and the name and \`spec.ips\` of a ServiceImport ([multi-cluster-services.test.ts](../src/controlplane/translate/multi-cluster-services.test.ts)).
`;

const supportWords: Readonly<Record<FieldRow["support"], (row: FieldRow) => string>> = {
  acted: ({ by }) => by.join(", "),
  envoy: ({ by }) => `${by.join(", ")} (Envoy only)`,
  warned: () => "nobody; a warning names the field",
  refused: () => "nobody; an error names the field",
};

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

function shown(all: readonly string[]): string {
  const fields = folded(all);
  const text = fields
    .slice(0, maxShown)
    .map((field) => `\`${field}\``)
    .join(" ");
  return fields.length > maxShown ? `${text} and ${fields.length - maxShown} more` : text;
}

/** The parts of paths that are printed in parentheses if a row has a field both with the part and without it. */
const optionalParts = [
  { before: "trafficPolicy.", part: "portLevelSettings[]." },
  { before: "", part: "subsets[]." },
];

function folded(fields: readonly string[]): readonly string[] {
  return optionalParts.reduce<readonly string[]>((paths, { before, part }) => {
    const known = new Set(paths);
    const withPart = (path: string): string | undefined => {
      const at = path.indexOf(before) + before.length;
      const longer = `${path.slice(0, at)}${part}${path.slice(at)}`;
      return path.includes(before) && known.has(longer) ? longer : undefined;
    };
    const covered = new Set(paths.map(withPart));
    return paths
      .filter((path) => !covered.has(path))
      .map((path) => {
        const longer = withPart(path);
        return longer === undefined ? path : longer.replace(part, `(${part})`);
      });
  }, fields);
}

function fileName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

if (import.meta.main) writeFileSync(join(import.meta.dirname, "../../docs/features.md"), featuresPage());
